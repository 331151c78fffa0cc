"""Listener: a web server around one WSGI application, by waitress.

1. One thread reads and writes all connections, so that a slow client costs none; a request that is
   there as a whole waits in line for one of a fixed number of threads.
2. It binds when it is made, accepts from `serve` on, and has ended when `close` returns.
"""

from __future__ import annotations

import logging
import select
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import RequestEntityTooLarge

from pylm_lab.errors import AddressError
from pylm_lab.parts.http.limits import Limits
from pylm_lab.parts.http.urls import url

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

__all__ = ["Listener"]

#: Connections that the system keeps until they are accepted.
BACKLOG = 1024
#: Seconds, at the most, until the thread that reads and writes looks whose patience is over.
TICK = 1.0
#: Connections at the most where the system has `select` alone, which can't watch more.
FEW = 400
#: Seconds that answers may take to leave when it ends.
LEAVING = 1.0
_log = logging.getLogger("pylm_lab.http")


class Listener:
    """A bound address, and the threads that serve it.

    `url` is where it is, a free port being resolved.

    Raises:
        AddressError: it can't be bound.
    """

    def __init__(self, host: str, port: int, limits: Limits) -> None:
        self._limits = limits
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except (OSError, OverflowError) as error:
            raise AddressError(
                f"can't listen at {url(host, port)}: {error}. Stop what listens there, or choose "
                "another port (0 takes a free one)"
            ) from None
        self.url = url(*self._socket.getsockname()[:2])
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._ending = False

    def serve(self, application: WSGIApplication, name: str) -> None:
        """Accept connections, in threads of its own; `name` is that of the first."""
        limits = self._limits
        about = Adjustments(
            backlog=BACKLOG,
            # The server itself and its trigger count as well.
            connection_limit=min(limits.connections, _room()) + 2,
            # From this size on a body is too large.
            max_request_body_size=limits.largest + 1,
            # None is sent: who listens is nobody's business.
            ident=None,
            asyncore_use_poll=True,
            # A client that is gone is not worth a line.
            log_socket_errors=False,
        )
        self._pool = _Pool()
        self._pool.set_thread_count(limits.threads)
        self._map: dict[int, Any] = {}
        place = (self._socket.family, self._socket.type, 0, self._socket.getsockname())
        self._server = _Server(
            application,
            self._map,
            True,
            self._socket,
            dispatcher=self._pool,
            adj=about,
            sockinfo=place,
            bind_socket=False,
        )
        self._server.patience = limits.patience
        self._server.tick = min(TICK, limits.patience / 4)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accept nothing more, let answers that are there leave, and close every connection."""
        self._ending = True
        if self._server is None or self._thread is None:
            self._socket.close()
            return
        self._server.pull_trigger()
        self._thread.join(2 * LEAVING)
        self._thread = self._server = None

    def _run(self) -> None:
        server = self._server
        assert server is not None
        while not self._ending:
            self._turn(server.tick)
        server.del_channel()
        self._socket.close()
        until = time.monotonic() + LEAVING
        self._pool.set_thread_count(0)
        while time.monotonic() < until and (
            self._pool.threads or any(one.total_outbufs_len for one in self._channels())
        ):
            self._turn(0.05)
        self._pool.shutdown(timeout=0)
        for channel in self._channels():
            channel.handle_close()
        server.close()
        self._map.clear()

    def _turn(self, patience: float) -> None:
        wasyncore.loop(patience, use_poll=True, map=self._map, count=1)

    def _channels(self) -> list[_Channel]:
        assert self._server is not None
        return self._server.channels()


class _Request(HTTPRequestParser):
    """A request, whose body may be as large as the limit says, which is what it tells."""

    def received(self, data: bytes) -> int:
        taken = int(super().received(data))
        if isinstance(self.error, RequestEntityTooLarge):
            most = self.adj.max_request_body_size - 1
            self.error = RequestEntityTooLarge(f"the body has more than {most} bytes")
        return taken


class _Channel(HTTPChannel):
    """A connection, which knows since when a request is under way."""

    parser_class = _Request
    begun = 0.0

    def received(self, data: bytes) -> bool:
        done = bool(super().received(data))
        self.begun = (self.begun or time.time()) if self.request is not None else 0.0
        return done

    def handle_close(self) -> None:
        super().handle_close()
        # A body that is large lies in a file.
        for request in (self.request, *self.requests):
            if request is not None:
                request.close()


class _Server(TcpWSGIServer):
    channel_class = _Channel
    # That connections wait until there is room is as it should be: no line each time.
    logger = logging.getLogger("pylm_lab.http.connections")
    logger.setLevel(logging.ERROR)
    #: Seconds that a client may take, and after which to look whose time is over.
    patience = 30.0
    tick = TICK

    def channels(self) -> list[_Channel]:
        """The connections that are open."""
        found: Any = self.active_channels
        return list(found.values())

    def maintenance(self, now: float) -> None:
        """Close connections that are idle, or have been sending a request, for too long."""
        self.next_channel_cleanup = now + self.tick  # type: ignore[assignment] # it is compared
        for channel in self.channels():
            since = channel.begun or channel.last_activity
            if not channel.requests and not channel.total_outbufs_len:
                channel.will_close = channel.will_close or since < now - self.patience
            elif channel.last_activity < now - self.patience and not channel.requests:
                channel.will_close = True  # it takes nothing of its answer


class _Pool(ThreadedTaskDispatcher):
    # That requests wait in line is as it should be: no line for each.
    queue_logger = logging.getLogger("pylm_lab.http.queue")
    queue_logger.setLevel(logging.ERROR)


def _room() -> int:
    """How many connections this process can have open beside what else it has."""
    if not hasattr(select, "poll"):
        return FEW
    import resource  # where there is poll, there is this

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if most == resource.RLIM_INFINITY else max(1, most // 2)
