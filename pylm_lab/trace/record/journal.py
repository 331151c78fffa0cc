"""Journal: a record that is written to a file while the run goes on.

1. Whoever runs only adds to the tape of its own, as with any Recorder. A thread takes off what is
   on the tapes, several times a second, writes it down and forgets it.
2. A process that is killed leaves all but what it did in the last moment: a trace whose actors are
   `cut`.
3. A disk that fails never touches the run: it is told once, in the log, and nothing more is
   recorded.
4. A forked child writes nothing: the file is its parent's.

`store` documents what is in the file.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from pylm_lab.errors import OutputError, RunError
from pylm_lab.hook import Decision
from pylm_lab.trace.file import store, writing
from pylm_lab.trace.file.lines import ACTOR, DECISION, END, PORT, ROUTE, End
from pylm_lab.trace.file.schema import Schema
from pylm_lab.trace.record.decoding import Decoding
from pylm_lab.trace.record.recorder import Recorder
from pylm_lab.trace.record.tape import Tape, Taped
from pylm_lab.trace.record.telling import is_raw
from pylm_lab.trace.records import HOPS, What
from pylm_lab.trace.trace import Trace

__all__ = ["Journal"]

#: Seconds between two looks at the tapes.
PAUSE = 0.2
#: Seconds that the end waits for the thread.
DEADLINE = 10.0
_log = logging.getLogger("pylm_lab.trace")


class _Silence(Tape):
    """A tape that keeps nothing."""

    def fact(self, *_: Any) -> None:
        pass

    def fault(self, *_: Any) -> None:
        pass

    def drop(self, *_: Any) -> None:
        pass

    def hops(self, *_: Any) -> None:
        pass


class Journal(Recorder):
    """A Recorder that writes what it hears to a file, as it goes on, and keeps none of it.

    With `close`, or at the end of a `with`, the journal ends; without, the trace that is read from
    it says that it was cut off. What is heard after its end is not recorded. `trace` reads the
    file. What is declared twice counts as it was the first time.

    Args:
        path: the file, which is begun at once, in place of one that may be there. It is not
            compressed: the end of a compressed file is lost if it is cut off.
        about: `precise`, `schedule`, `seed`, `clock`, `scenario` and `options` of a Recorder. There
            is no `limit`: nothing is kept.

    Raises:
        OutputError: the file can't be written.
    """

    def __init__(self, path: str | Path, **about: Any) -> None:
        if "limit" in about:
            raise ValueError("limit: a journal keeps nothing in memory, so there is none to give")
        self.path = Path(path)
        if self.path.name.lower().endswith(".gz"):
            raise ValueError(
                f"{path}: a journal is not compressed, since it would lose its end where it is cut"
                " off. Choose a name without .gz"
            )
        super().__init__(**about)
        #: Held by who writes to the file, or ends it.
        self._mutex = threading.RLock()
        #: It is being written to; and somebody has asked for its end meanwhile.
        self._writes = self._is_to_end = False
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        #: How many lines were written after the first; and how many actors, ports and routes.
        self._lines = 0
        self._written = 0, 0, 0
        #: When it began.
        self._start: int | None = None
        #: What decoding is to remember.
        self._received: dict[str, tuple[bytes, int]] = {}
        self._counted: Counter[tuple[str, What]] = Counter()
        try:
            self._file: FileIO | None = FileIO(self.path, "w")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(
                f"{path} can't be written: {reason}. Choose another place, or clear the way"
            ) from error
        self._try(self._head)
        _all.add(self)

    def about(self, **about: Any) -> None:
        """As a Recorder's, as long as nothing but the first line, which says it, is written.

        Raises:
            RunError: it comes too late.
        """
        with self._mutex:
            told = {**self._about, **about}
            if told != self._about and self._lines:
                raise RunError(
                    f"{self.path} says already what it is about, and has more lines. Say"
                    f" {', '.join(about)} before anything runs, in a journal of each run's own"
                )
            super().about(**about)
            self._try(self._head)

    @property
    def trace(self) -> Trace:
        """All that was heard so far, read from the file."""
        self.flush()
        return store.load(self.path)

    def totals(self) -> Counter[tuple[str, What]]:
        with self._mutex:
            return self._counted + super().totals()

    def flush(self) -> None:
        """Write down now what was heard so far."""
        with self._mutex:
            self._try(self._news)

    def close(self) -> None:
        """Write down what was heard, and the end. Once; a second time does nothing."""
        with self._mutex:
            self._try(self._last)
            thread = self._thread if self._file is None else None
        if thread is not None and thread is not threading.current_thread():
            thread.join(DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # What happens

    def decided(self, decision: Decision) -> None:
        if self._file is not None:
            super().decided(decision)
            self._begin()

    def _tape(self, actor: str) -> Tape:
        tape = super()._tape(actor)
        if self._file is None:
            tape = self._tapes[actor] = _Silence(None)
        else:
            self._begin()
        return tape

    def _begin(self) -> None:
        """Let the thread look at the tapes from now on."""
        if self._thread is not None:
            return
        with self._mutex:
            if self._thread is not None or self._file is None:
                return
            thread = threading.Thread(
                target=self._go_on, name=f"journal {self.path.name}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                return  # the interpreter ends, or has too many: `close` writes it all
            self._thread = thread

    # The thread

    def _go_on(self) -> None:
        while not self._over.wait(PAUSE):
            self.flush()

    def _try(self, write: Callable[[], None]) -> None:
        """Whatever goes wrong ends the record, not the run."""
        if self._file is None:
            return
        if self._writes:
            # From within: what was heard has ended, since it was collected as garbage.
            self._is_to_end = self._is_to_end or write == self._last
            return
        self._writes = True
        try:
            write()
            if self._is_to_end and self._file is not None:
                self._last()
        except Exception as error:  # noqa: BLE001 - who only listens disturbs nobody
            self._end()
            _log.error("%s: no more is recorded, since it can't be written: %s", self.path, error)
        except BaseException:
            self._end()  # Ctrl-C: what was taken off is lost, so nothing may come after it
            raise
        finally:
            self._writes = False

    def _head(self) -> None:
        """Write the first line, anew if it is there."""
        if self._file is not None and not self._lines:
            self._file.seek(0)
            self._file.truncate()
            self._put([writing.about(Trace(**self._about), None)])
            self._lines = 0
            self._start = 0 if self._about["clock"] == "step" else None

    def _news(self) -> None:
        """Write down what is new."""
        # Tapes first: whatever they speak of has been declared by then.
        taken = {actor: tape.take() for actor, tape in list(self._tapes.items())}
        chosen = list(self._decisions)
        del self._decisions[: len(chosen)]
        self._put(self._wiring())
        for lines in self._happened(taken):
            self._put([lines])
        self._put(writing.line("decision", DECISION, one) for one in chosen)

    def _last(self) -> None:
        """Write down what is new, and that it is all."""
        self._news()
        self._put([writing.line("end", END, End(lines=self._lines))])
        self._end()

    def _wiring(self) -> Iterator[bytes]:
        """The lines of what was declared since the last time."""
        # First what names others: they were declared before it.
        routes, ports, actors = (
            list(known.values()) for known in (self._routes, self._ports, self._actors)
        )
        news: tuple[tuple[str, Schema[Any], Sequence[object]], ...] = (
            ("actor", ACTOR, actors[self._written[0] :]),
            ("port", PORT, ports[self._written[1] :]),
            ("route", ROUTE, routes[self._written[2] :]),
        )
        self._written = len(actors), len(ports), len(routes)
        for name, schema, records in news:
            for record in records:
                yield writing.line(name, schema, record)

    def _happened(self, taken: dict[str, Taped]) -> Iterator[bytes]:
        """The lines of what was on the tapes."""
        decoding = Decoding(self._actors, self._ports, self._received)
        for actor, taped in taken.items():
            decoding.add(actor, taped, raw=is_raw(self._actors.get(actor)))
        events = decoding.events()
        if self._start is None and len(events):
            self._start = int(events.at.min())
        for what in HOPS:
            ports, counts = np.unique(events.port[events.are(what)], return_counts=True)
            for port, count in zip(ports.tolist(), counts.tolist(), strict=True):
                self._counted[events.tables.ports[port], what] += count
        return writing.events(events.later(-(self._start or 0)))

    def _put(self, lines: Iterable[bytes]) -> None:
        """Write whole lines to the file."""
        data = b"".join(lines)
        self._lines += data.count(b"\n")
        left = memoryview(data)
        while left and self._file is not None:
            left = left[self._file.write(left) :]

    def _end(self) -> None:
        """Record no more."""
        self._over.set()
        file, self._file = self._file, None
        for actor in list(self._tapes):
            self._tapes[actor] = _Silence(None)
        self._decisions = []
        if file is not None:
            file.close()

    def _forked(self) -> None:
        """Leave the file to the parent."""
        self._mutex = threading.RLock()  # the parent's thread may have held it
        self._writes = False
        self._thread = None
        self._end()


#: All journals of this process.
_all: weakref.WeakSet[Journal] = weakref.WeakSet()


def _leave() -> None:
    for journal in list(_all):
        journal._forked()


def _flush() -> None:
    for journal in list(_all):
        journal.flush()


# Not closed: what is registered earlier, and so comes later, may still end a run.
atexit.register(_flush)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave)
