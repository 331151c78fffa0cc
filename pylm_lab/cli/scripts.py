"""`pylm-lab run SCRIPT…`: scripts, each as a process of its own, their output together, one end.

1. It goes on until the last script has ended by itself, and all others that are the same file
   (several clients). Whoever still runs then is told to end as by Ctrl-C, and where that does not
   help, terminated, and killed. A script that fails ends all.
2. A signal is taken down and passed on to the scripts, which the second one kills. It raises
   nothing, so no line of ours is left in the middle, and no script outlives us.
3. Only the main thread writes. Whoever reads from a script waits while much is unwritten.
"""

from __future__ import annotations

import os
import queue
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any, NamedTuple, TextIO

from pylm_lab.cli.process import Process
from pylm_lab.errors import LabError
from pylm_lab.scenarios import names

__all__ = ["are_scripts", "run_scripts", "split"]

#: Seconds that a script has to end after Ctrl-C, and then after it was terminated.
ENDS = 6.0
TERMINATES = 2.0
#: Seconds that output may come after the end of its script, from processes that this has started.
REST = 1.0
#: Seconds after which it is looked again at who runs.
LOOK = 0.05
#: Lines that wait to be written.
UNWRITTEN = 1000
#: Colours of names on a terminal, in turn: none that is hard to tell from the others.
COLOURS = (36, 33, 35, 34, 32)


def are_scripts(words: Sequence[str]) -> bool:
    """Whether these are scripts, and not the name of a scenario.

    Raises:
        LabError: some are, some are not; or more scenarios than one.
    """
    scripts = [word for word in words if _is_script(word)]
    others = [word for word in words if word not in scripts]
    if scripts and others:
        raise LabError(
            f"run: {others[0]!r} is no script, and {scripts[0]!r} is one: give one scenario, or "
            "scripts, each a path that ends with .py, its arguments within the same quotes"
        )
    if len(others) > 1:
        raise LabError(f"run: {' '.join(others)!r} are {len(others)} scenarios: give one")
    return bool(scripts)


def _is_script(word: str) -> bool:
    if word in names():
        return False  # also where a file happens to bear a scenario's name
    first = next(iter(split(word)), "")
    return first.endswith((".py", ".pyw")) or Path(word).is_file() or Path(first).is_file()


def split(word: str, *, windows: bool = os.name == "nt") -> list[str]:
    r"""A script and its arguments, as a shell splits them; on Windows `\` is a part of a path.

    Raises:
        LabError: a quote is not closed.
    """
    reader = shlex.shlex(word, posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.commenters = True, ""
    if windows:
        reader.escape = ""
    try:
        return [word] if Path(word).is_file() else list(reader)
    except ValueError as error:
        raise LabError(f"run: {word!r} can't be split: {str(error).lower()}") from None


def run_scripts(
    words: Sequence[str],
    lasting: float | None,
    timeout: float | None,
    variables: Mapping[str, str] | None = None,
) -> int:
    """Run them, and report; returns the exit code.

    Args:
        words: each a script with its arguments.
        lasting: end all after so many seconds, and wait for none.
        timeout: seconds after which it has failed that the last one has not ended.
        variables: what their environment has besides ours.
    """
    commands = [split(word) for word in words]
    for file, *_ in commands:
        if not Path(file).is_file():
            why = "is a folder" if Path(file).is_dir() else "is no file"
            raise LabError(f"run: {file!r} {why}: nothing was started")
    names = _names(commands)
    more = variables or {}
    scripts = [Process(name, command, more) for name, command in zip(names, commands, strict=True)]
    return _Run(scripts, lasting, timeout).run()


def _names(commands: Sequence[Sequence[str]]) -> list[str]:
    """The file's name; with arguments and a number where that is the name of several."""
    stems = [Path(file).stem for file, *_ in commands]
    names = [
        stem if stems.count(stem) == 1 else " ".join([stem, *command[1:]])[:32]
        for stem, command in zip(stems, commands, strict=True)
    ]
    return [
        name if names.count(name) == 1 else f"{name} #{names[: at + 1].count(name)}"
        for at, name in enumerate(names)
    ]


class Line(NamedTuple):
    """A line that a script has written."""

    script: Process
    stream: TextIO
    text: str


class _Run:
    """Scripts that run together."""

    def __init__(
        self, scripts: list[Process], lasting: float | None, timeout: float | None
    ) -> None:
        self._scripts = scripts
        self._lasting = lasting
        self._timeout = timeout
        #: Those that end by themselves.
        self._awaited: list[Process] = []
        if lasting is None:
            file = scripts[-1].command[0]
            self._awaited = [script for script in scripts if script.command[0] == file]
        self._lines: queue.SimpleQueue[Line] = queue.SimpleQueue()
        self._room = threading.Semaphore(UNWRITTEN)
        self._is_read = True
        self._signals: list[int] = []
        self._late = False
        self._width = max(len(script.name) for script in scripts)

    def run(self) -> int:
        """From the first start to the report; returns the exit code."""
        with self._hearing():
            try:
                self._begin()
                self._wait()
                self._end()
            except BaseException:  # who reads our output has gone
                self._is_read = False
                self._room.release(UNWRITTEN)
                self._end()
                raise
            self._report()
        if self._signals:
            return 128 + self._signals[0]
        return int(self._late or any(script.has_failed for script in self._scripts))

    # Signals

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """Ctrl-C and its like are taken down meanwhile, and the scripts hear of them at once."""
        before: dict[int, Any] = {}
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            # What nohup has started outlives its terminal. Only a main thread hears signals.
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
                continue
            if threading.current_thread() is threading.main_thread():
                before[number] = signal.signal(number, self._hear)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        for script in self._scripts:
            if len(self._signals) > 1:
                script.kill()
            elif not script.told:
                script.interrupt()

    # Running

    def _begin(self) -> None:
        for script in self._scripts:
            if self._signals:
                return
            for pipe, stream in zip(script.start(), (sys.stdout, sys.stderr), strict=True):
                reader = threading.Thread(
                    target=self._read,
                    args=(script, pipe, stream),
                    name=f"reads {script.name}",
                    daemon=True,
                )
                script.readers.append(reader)
                reader.start()
        if self._lasting is not None:
            until = f"for {self._lasting:g} s"
        else:
            until = f"until {' and '.join(one.name for one in self._awaited)} has ended"
        print(f"pylm-lab: runs {until}; Ctrl-C ends all", file=sys.stderr, flush=True)

    def _read(self, script: Process, pipe: IO[bytes], stream: TextIO) -> None:
        with pipe:
            # Who writes no line end can't fill the memory.
            for line in iter(lambda: pipe.readline(65536), b""):
                if self._is_read:
                    self._room.acquire()
                    text = line.decode("utf-8", "replace").rstrip("\r\n")
                    self._lines.put(Line(script, stream, text))

    def _wait(self) -> None:
        """Until those who are waited for have ended, somebody has failed, or the time is over."""
        limit = self._timeout if self._lasting is None else self._lasting
        until = None if limit is None else time.monotonic() + limit
        while not self._signals:
            self._tell_for(LOOK)
            running = [script for script in self._scripts if script.runs()]
            awaited = self._awaited or self._scripts
            if any(one.has_failed for one in self._scripts):
                return
            if not any(one in running for one in awaited):
                return
            if until is not None and time.monotonic() >= until:
                self._late = self._lasting is None
                return

    def _tell_for(self, seconds: float) -> None:
        """Write what comes within so many seconds."""
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=rest)
            except queue.Empty:
                return
            self._room.release()
            self._tell(line)

    def _tell(self, line: Line) -> None:
        line.script.last.append(line.text)
        if self._is_read:
            name = line.script.name.ljust(self._width)
            if has_colours(line.stream):
                colour = COLOURS[self._scripts.index(line.script) % len(COLOURS)]
                name = f"\x1b[{colour}m{name}\x1b[0m"
            print(f"{name} | {line.text}", file=line.stream, flush=True)

    # Ending

    def _end(self) -> None:
        """End whoever still runs: as Ctrl-C would, then harder, and at last by force."""
        for way, patience in (
            (Process.interrupt, ENDS),
            (Process.terminate, TERMINATES),
            (Process.kill, ENDS),
        ):
            until = time.monotonic() + patience
            for script in reversed(self._scripts):
                if script.runs() and not (way is Process.interrupt and script.told):
                    way(script)
            while self._still() and time.monotonic() < until:
                self._tell_for(LOOK)
        for last in (False, True):
            until = time.monotonic() + REST
            while self._reads() and time.monotonic() < until:
                self._tell_for(LOOK)
            for script in self._scripts:
                if not last and any(reader.is_alive() for reader in script.readers):
                    script.sweep()
        while not self._lines.empty():
            self._tell_for(LOOK)

    def _still(self) -> bool:
        # Each is asked, since then it knows how long it ran.
        running = [script for script in self._scripts if script.runs()]
        return bool(running)

    def _reads(self) -> bool:
        return any(reader.is_alive() for script in self._scripts for reader in script.readers)

    # Telling

    def _report(self) -> None:
        rows = [("script", "ended", "code", "seconds")]
        for script in self._scripts:
            if script.code is None:
                rows.append((script.name, "was not started", "", ""))
                continue
            how = "by itself"
            if script.forced:
                how = "by force"
            elif script.told:
                how = "when told to"
            if script.has_failed:
                how = f"{how}: failed"
            rows.append((script.name, how, str(script.code), f"{script.seconds:.1f}"))
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        print(flush=True)
        for name, how, code, seconds in rows:
            told = f"{name:{wide[0]}}  {how:{wide[1]}}  {code:>{wide[2]}}  {seconds:>{wide[3]}}"
            print(told.rstrip(), flush=True)
        for script in self._scripts:
            if script.has_failed:
                print(f"pylm-lab: {self._blame(script)}", file=sys.stderr, flush=True)
        if self._late:
            who = " and ".join(one.name for one in self._awaited)
            why = f"{who} had not ended after {self._timeout:g} s"
            print(f"pylm-lab: {why}", file=sys.stderr, flush=True)

    def _blame(self, script: Process) -> str:
        how = f"failed with exit code {script.code}"
        if script.forced:
            how = f"did not end within {ENDS:g} s of Ctrl-C"
            if len(self._signals) > 1:
                how = "was killed, since a second Ctrl-C came"
        elif script.code is not None and script.code < 0:
            how = f"was ended by signal {-script.code}"
        if not script.last:
            return f"{script.name} {how}; it has written nothing"
        lines = "".join(f"\n  {line}" for line in script.last)
        return f"{script.name} {how}; its last lines:{lines}"


def has_colours(stream: TextIO) -> bool:
    """It is a terminal that shows colours, and nobody minds."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return False
    return os.name != "nt" or "WT_SESSION" in os.environ
