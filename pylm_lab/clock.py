"""The clock of a run, as user code sees it, and log lines that tell the step.

Free, it is the machine's. In a controlled run it is the run's own: it stands still while anything
can move, and jumps when all that is left is to wait, so that waiting takes no time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pylm_lab.arguments import seconds
from pylm_lab.errors import NoAnswer, RunError, WiringError
from pylm_lab.schedule import Gate

if TYPE_CHECKING:
    from pylm_lab.actor import Actor

__all__ = ["Clock", "steady"]


class Clock:
    """`self.clock` of a worker, a part or a client: for its own functions, in its own thread."""

    def __init__(self, owner: Actor) -> None:
        self._owner = owner

    def time(self) -> float:
        """Seconds since some moment; in a controlled run, since its beginning."""
        return self._owner.seconds()

    def sleep(self, duration: float) -> None:
        """Wait so many seconds. A stop of the actor ends it.

        Raises:
            WiringError: it is no duration.
        """
        owner = self._owner
        thread = getattr(owner, "thread", None)
        if thread is not None and thread is not threading.current_thread():
            raise RunError(f"the clock of {owner.id} can be waited for in its own thread only")
        if not owner.is_open:
            raise RunError(f"the clock of {owner.id} can be waited for while it runs, not now")
        wanted = seconds("duration", duration)
        if wanted is None or wanted == float("inf"):
            raise WiringError(
                f"sleep({duration!r}) would last for ever: give it a number of seconds"
            )
        with suppress(NoAnswer):  # that is what is waited for
            owner.next((), None, wanted)

    def __repr__(self) -> str:
        return f"<clock of {self._owner.id}: {self.time():g} s>"


class _Steps(logging.LoggerAdapter[Any]):
    """A logger whose lines begin with the step; a record has it as `step`, too."""

    def __init__(self, logger: Any, gate: Gate) -> None:
        super().__init__(logger, {})
        self._gate = gate

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        step = self._gate.step
        kwargs["extra"] = {**(kwargs.get("extra") or {}), "step": step}
        return f"[step {step}] {msg}", kwargs


def steady(logger: Any, gate: Gate | None) -> Any:
    """The logger of an actor: as it is in a free run, with the step in a controlled one."""
    if isinstance(logger, _Steps):
        logger = logger.logger
    if gate is None:
        return logger
    return _Steps(logging.getLogger() if logger is logging else logger, gate)
