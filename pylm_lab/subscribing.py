"""Whoever asks a publisher for a topic only while it needs it, as a client does for its calls."""

from __future__ import annotations

from pylm_lab.errors import LabError, NoAnswer
from pylm_lab.port import Port
from pylm_lab.schedule import Stopped
from pylm_lab.servers import CacheUser
from pylm_lab.wire import READY

__all__ = ["Subscriber"]

#: Seconds to wait for a publisher that may not know how to tell that it is ready.
ECHO_SECONDS = 1.0


class Subscriber(CacheUser):
    """Subscribes at its port `sub`, and knows when the publisher knows."""

    sub: Port
    #: It is about to be closed: no need to unsubscribe.
    _leaves = False

    def _sort(self, frames: list[bytes]) -> None:
        """What else came meanwhile."""
        raise NotImplementedError

    def _subscribe(self, topic: bytes) -> None:
        """Subscribe, and wait until the publisher knows it; or all that it is connected to."""
        for asked in (topic, READY + topic):
            self._ask_for(asked, subscribe=True)
        try:
            missing = len(self.sub.addresses)
            until = self.seconds() + ECHO_SECONDS  # whatever else comes meanwhile
            while missing:
                frames = self.next((self.sub,), None, max(0.0, until - self.seconds()))[1]
                if frames[0] == READY + topic:
                    missing -= 1
                else:
                    self._sort(frames)
        except NoAnswer:
            self.logger.debug("%s: the publisher does not tell when it is ready", self.id)
        except BaseException:
            self._unsubscribe(topic)
            raise

    def _unsubscribe(self, topic: bytes) -> None:
        if not self.sub.is_open or self._leaves:
            return
        try:
            for asked in (topic, READY + topic):
                self._ask_for(asked, subscribe=False)
        except (Stopped, LabError):
            return  # the run is over, and with it every subscription

    def _ask_for(self, topic: bytes, *, subscribe: bool) -> None:
        port, hooks = self.sub, self.hooks
        self.act("subscribe" if subscribe else "unsubscribe", port)
        (port.socket.subscribe if subscribe else port.socket.unsubscribe)(topic)
        tell = hooks.topic_subscribed if subscribe else hooks.topic_unsubscribed
        tell(port.declared, topic, self.moment())
        if self.gate is not None:
            self.gate.touch(port)
