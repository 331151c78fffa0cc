"""Task: a call that was begun, and has its end to itself."""

from __future__ import annotations

import threading
import time
import types
from collections.abc import Callable
from typing import Any

from pylm_lab.arguments import seconds
from pylm_lab.errors import NoAnswer, RunError
from pylm_lab.schedule import SLICE, Gate, Stopped

__all__ = ["Task"]

#: Seconds that the thread of a call may take to end when the run is over.
ENDS = 2.0


class Task:
    """A call that `cluster.start` has begun: `done` says whether it has ended, `result` how.

    It runs in a thread of its own; in a controlled run it takes its turns like everybody else.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], args: Any, kwargs: Any, gate: Gate | None
    ) -> None:
        self.name = name
        self._call: Any = (function, args, kwargs)
        self._gate = gate
        self._ended = threading.Event()
        self._value: Any = None
        #: What the call has failed with, or None.
        self.error: BaseException | None = None
        self.thread: threading.Thread | None = None
        #: Somebody has asked for its result, and had it.
        self.was_asked = False

    def begin(self) -> None:
        """Start it; in a controlled run it comes to its first operation before this returns."""
        if self._gate is not None:
            self._gate.branch(self.name, self._run)
            if self._gate.is_over:
                self._ended.wait(ENDS)  # it has failed, and is about to say so
            return
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.thread = threading.current_thread()
        # Whoever keeps the task does not keep what it was called with, its cluster perhaps.
        (function, args, kwargs), self._call = self._call, None
        try:
            value = function(*args, **kwargs)
            # A job does nothing until somebody asks for its answers.
            self._value = list(value) if isinstance(value, types.GeneratorType) else value
        except Stopped:
            self.error = RunError(f"{self.name} was ended: its cluster has been stopped")
        except BaseException as error:  # noqa: BLE001 - it is raised again, where the result is asked
            self.error = error
        finally:
            self._ended.set()

    @property
    def done(self) -> bool:
        """It has ended, well or with an error."""
        return self._ended.is_set()

    def join(self, timeout: float) -> bool:
        """Wait for the end of its thread; False if it has not come, unless this is that thread."""
        if self.thread is None or self.thread is threading.current_thread():
            return True
        self.thread.join(timeout)
        return not self.thread.is_alive()

    def result(self, timeout: float | None = None) -> Any:
        """What the call has returned; a list of what it gave, if it was a generator such as a job.

        Free, it waits, `timeout` seconds at the most (None: as long as it takes). In a seeded run
        it lets everything move until the call has ended. In a stepped run that is for you to do.

        Raises:
            NoAnswer: it has not ended within the timeout.
            RunError: the run is stepped and the call has not ended; or the run is over.
            Deadlock: nothing can move any more.
            Exception: what the call has failed with.
        """
        until = seconds("timeout", timeout)
        if not self.done:
            if self._gate is None:
                self._wait(until)
            else:
                self._drive(self._gate)
        self.was_asked = True
        if self.error is not None:
            raise self.error
        return self._value

    def _drive(self, gate: Gate) -> None:
        if gate.is_stepped_here and not gate.is_over:
            raise RunError(
                f"{self.name} has not ended: the cluster is stepped, so let it move first, with "
                "cluster.step() or cluster.run()"
            )
        try:
            if not gate.is_over:
                gate.drive(self._ended.is_set, patient=False)
        except RunError:
            if not gate.is_over:
                raise
        # When the run is over, or about to be, its thread may take a moment to end.
        if not self._ended.wait(ENDS if gate.is_over else 0.0):
            why = gate.failure or gate.chooser.ended or "the run is over"
            raise RunError(f"{self.name} has not ended: {why}")

    def _wait(self, timeout: float | None) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        while not self._ended.wait(SLICE if end is None else min(SLICE, end - time.monotonic())):
            if end is not None and time.monotonic() >= end:
                raise NoAnswer(f"{self.name} has not ended within {timeout:g} s")

    def __repr__(self) -> str:
        if not self.done:
            return f"<{self.name}: not done yet>"
        return f"<{self.name}: failed, {self.error!r}>" if self.error else f"<{self.name}: done>"
