"""What a blocking start is in the main thread: it tells on standard output, and ends on Ctrl-C.

1. Ctrl-C is taken down by a handler that raises nothing, and whoever runs looks whether it came.
   Raised at whatever line the main thread has come to, it can leave a lock of `threading` released
   twice, which is then the error that the script ends with.
2. What comes out of a start that Ctrl-C has ended is `Interrupted`: KeyboardInterrupt for whoever
   catches it, else the end of the process with exit code 130, and no traceback.
3. What the application has arranged stays: handlers of signals, and handlers of log lines.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self, TextIO

__all__ = ["FORMAT", "Foreground", "Interrupted"]

#: How a line of the log looks.
FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
#: As a shell reports a process that Ctrl-C has ended.
EXIT_CODE = 130


class Interrupted(SystemExit, KeyboardInterrupt):
    """Ctrl-C has ended a blocking start.

    It can be caught as KeyboardInterrupt. Where nobody does, the process ends with exit code 130
    on every system, and prints no traceback.
    """


class Foreground:
    """`with Foreground(…) as it:` around a blocking start; `it.interrupted` says that Ctrl-C came.

    In the main thread, the first Ctrl-C is only taken down, and `ends` is called, if there is one.
    A second one is raised at once, as KeyboardInterrupt. When the block is left, `Interrupted` is
    raised in place of whatever else has come of it; in an interactive session, whose end that
    would be, KeyboardInterrupt. A handler of the application's own, instead of Python's, stays.

    In the main thread of a script, log lines of pylm_lab go to standard output meanwhile, in the
    form `FORMAT`, unless the application has given the logger `pylm_lab`, or the one above, a
    handler. In an interactive session or a notebook, in any other thread, and in a cluster, which
    has no blocking start, log lines go where the application sends them.

    Args:
        ends: called by the first Ctrl-C, in the main thread, at any line: it may wait for nothing.
        busy: says that a function of the user's runs here, in which Ctrl-C is raised at once.
    """

    def __init__(
        self, ends: Callable[[], None] | None = None, busy: Callable[[], bool] | None = None
    ) -> None:
        self.interrupted = False
        self._ends = ends
        self._busy = busy
        self._before: dict[int, Any] = {}
        self._log: logging.Handler | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            if not is_interactive():
                self._log = tell_on_stdout()
            for number in _signals():
                self._before[number] = signal.signal(number, self._hear)
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        first, self.interrupted = not self.interrupted, True
        if first and self._ends is not None:
            self._ends()
        if not first or (self._busy is not None and self._busy()):
            raise KeyboardInterrupt

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._log is not None:
            logging.getLogger("pylm_lab").removeHandler(self._log)
        if self.interrupted and not isinstance(error, Interrupted):
            raise KeyboardInterrupt if is_interactive() else Interrupted(EXIT_CODE) from None


def _signals() -> list[int]:
    """Those of Ctrl-C (and Ctrl-Break) that are still Python's own, or an outer start's."""
    found: list[int] = []
    for name, own in (("SIGINT", signal.default_int_handler), ("SIGBREAK", signal.SIG_DFL)):
        number = getattr(signal, name, None)
        if number is not None:
            handler = signal.getsignal(number)
            if handler is own or isinstance(getattr(handler, "__self__", None), Foreground):
                found.append(number)
    return found


def is_interactive() -> bool:
    """Somebody types statements: a console, IPython or a notebook."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive)


def tell_on_stdout() -> logging.Handler | None:
    """Send log lines of pylm_lab to standard output; None where the application sends them."""
    logger = logging.getLogger("pylm_lab")
    if logger.hasHandlers():
        return None
    handler = _Stdout()
    handler.setFormatter(logging.Formatter(FORMAT))
    # Should the application arrange for its log later, lines are not told twice.
    handler.addFilter(lambda record: not logging.getLogger().handlers)
    logger.addHandler(handler)
    return handler


class _Stdout(logging.StreamHandler[TextIO]):
    """Writes to what standard output is at the time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stdout

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        """It is what it is."""
