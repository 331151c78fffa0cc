"""A script that runs as a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import IO

__all__ = ["Process"]

#: How a process ends that Ctrl-C has ended: by itself, by Python, by Windows.
INTERRUPTED = (0, 130, -2, 0xC000013A)
#: The last lines that are kept.
LAST = 10


class Process:
    """A script with its arguments, run by this Python, in a process group of its own.

    So Ctrl-C in the terminal does not reach it, and it hears of it once, from us.
    """

    def __init__(self, name: str, command: list[str], variables: Mapping[str, str]) -> None:
        self.name = name
        self.command = command
        #: What its environment has besides ours.
        self._variables = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", **variables}
        #: It was told to end.
        self.told = False
        #: It did not listen.
        self.forced = False
        self.seconds = 0.0
        self.last: deque[str] = deque(maxlen=LAST)
        self.readers: list[threading.Thread] = []
        self._begun = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> list[IO[bytes]]:
        """Start it; returns what its standard output and its errors are read from."""
        windows = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        self._begun = time.monotonic()
        self._process = process = subprocess.Popen(
            [sys.executable, *self.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **self._variables},
            creationflags=windows,
            process_group=None if os.name == "nt" else 0,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        return [process.stdout, process.stderr]

    def runs(self) -> bool:
        """It was started, and has not ended."""
        if self._process is None:
            return False
        known = self._process.returncode is not None
        ended = self._process.poll() is not None
        if ended and not known:
            self.seconds = time.monotonic() - self._begun
        return not ended

    @property
    def code(self) -> int | None:
        """Its exit code; minus the signal's number where one has ended it; None: not yet."""
        return None if self._process is None else self._process.returncode

    @property
    def has_failed(self) -> bool:
        """It has ended otherwise than it should."""
        if self.code is None:
            return False
        return self.forced or self.code not in (INTERRUPTED if self.told else (0,))

    def interrupt(self) -> None:
        """Let it hear Ctrl-C."""
        self.told = self._signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)) or self.told

    def terminate(self) -> None:
        """Tell it to end, where it did not hear Ctrl-C."""
        self.forced = self._signal(signal.SIGTERM) or self.forced

    def kill(self) -> None:
        """End it, whatever it does."""
        self.forced = self._signal(getattr(signal, "SIGKILL", signal.SIGTERM)) or self.forced

    def sweep(self) -> None:
        """End what it has started and left behind, now that it has ended."""
        if os.name != "nt" and self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _signal(self, number: int) -> bool:
        """Send a signal to its group; False if it has ended."""
        process = self._process
        # Who has ended and was not asked for yet keeps its id: nobody else hears this.
        if process is None or process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.name == "nt":
                process.send_signal(number)
            else:
                os.killpg(process.pid, number)
            return True
        return False
