"""Python processes that a test starts, reads line by line, kills, and never leaves behind."""

from __future__ import annotations

import contextlib
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from types import TracebackType
from typing import Self

__all__ = ["Script", "free_ports", "within"]

#: Seconds for what must come, on a machine where everybody else works as well.
PATIENCE = 10.0


class Script:
    """A Python process. It says things line by line, and may be told things the same way."""

    def __init__(self, text: str, *args: object) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", text, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, name="reads a script", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put("")

    def line(self) -> str:
        """Its next line; fails where it says none."""
        try:
            line = self._lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"it says nothing for {PATIENCE:g} s:\n{self.errors}") from None
        assert line, f"it has ended, with {self.process.wait(PATIENCE)}:\n{self.errors}"
        return line

    def tell(self, line: str) -> None:
        """Let it read a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def wait(self, told: str) -> int:
        """Its exit code, once it has ended; fails with the stack of each thread if it hangs."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(PATIENCE)
        raise AssertionError(f"{told}: it has not ended after {PATIENCE:g} s:\n{self.errors}")

    def kill(self) -> None:
        """End it as a power cut would, and wait until the system has closed all that it had."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def hang_up(self) -> None:
        """Let it read that there is no more, and wait until it has ended by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(PATIENCE)

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="backslashreplace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        self._reader.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def free_ports(count: int) -> list[str]:
    """Addresses of this machine that nobody listens at."""
    found = [socket.socket() for _ in range(count)]
    try:
        for one in found:
            one.bind(("127.0.0.1", 0))
        return ["tcp://{}:{}".format(*one.getsockname()) for one in found]
    finally:
        for one in found:
            one.close()


class within:  # noqa: N801 - it reads as what it says
    """`with within(2, "the stop"):` fails where the block takes more seconds than that."""

    def __init__(self, seconds: float, what: str) -> None:
        self._seconds = seconds
        self._what = what
        #: How long it took.
        self.took = 0.0

    def __enter__(self) -> Self:
        self._begin = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.took = time.monotonic() - self._begin
        if kind is None:
            told = f"{self._what} took {self.took:.2f} s; the deadline is {self._seconds:g} s"
            assert self.took <= self._seconds, told
