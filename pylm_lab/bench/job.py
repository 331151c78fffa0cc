"""Job: how much is to be measured, and how it is given up.

1. All that is measured runs in one thread that Ctrl-C can't reach. So no socket is lost between
   its making and its keeping, and whoever waits for a thread is never told that it has ended while
   it runs on.
2. The main thread waits for that thread, in slices. On Ctrl-C it gives the job up; whatever the job
   waits for, it looks at that a few times a second, and leaves by way of its `with` blocks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pylm_lab.actor import DEADLINE
from pylm_lab.errors import LabError, RunError
from pylm_lab.schedule import SLICE

__all__ = ["GivenUp", "Job", "attended"]

T = TypeVar("T")


class GivenUp(LabError):  # noqa: N818 - it says what happened, as our other errors do
    """The job was given up; nobody sees this but the thread that does it."""


@dataclass(frozen=True)
class Job:
    """`count` messages to move, until `given_up` is set."""

    count: int
    given_up: threading.Event = field(default_factory=threading.Event)

    @property
    def patience(self) -> float:
        """Seconds after which somebody who still moves the messages is stuck."""
        return 30 + self.count / 500

    def go_on(self) -> None:
        """Raise GivenUp if the job was given up."""
        if self.given_up.is_set():
            raise GivenUp("it was given up")

    def wait_for(self, done: Callable[[float], bool], seconds: float, what: str) -> None:
        """Call `done` (which waits as long as it is told to) until it is true.

        Raises:
            RunError: it is not, after so many seconds. `what` says who did not do what.
            GivenUp: the job was given up.
        """
        until = time.monotonic() + seconds
        while not done(SLICE):
            self.go_on()
            if time.monotonic() > until:
                raise RunError(f"{what} within {seconds:.0f} s")


def attended(work: Callable[[], T], given_up: threading.Event) -> T:
    """What `work` returns or raises, in a thread of its own.

    Whatever is raised here meanwhile, as by Ctrl-C, sets `given_up`, and is raised when the thread
    has ended.
    """
    found: list[T] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised again, where it is waited for
            raised.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name="bench", daemon=True)
    thread.start()
    try:
        while not done.wait(SLICE):
            pass
    finally:
        given_up.set()
        done.wait(DEADLINE)
    thread.join(DEADLINE)
    if raised:
        raise raised[0]
    return found[0]
