"""What a test left behind: threads, descriptors, ZeroMQ sockets.

1. `Snapshot()` before, `snapshot.leaks()` after: a line for each thing that outlived the test.
2. Things may end on their own time (ZeroMQ closes sockets in a thread of its own), so `leaks` looks
   again until nothing is left or its deadline has passed; it never waits when all is well.
3. Nothing is patched. Threads and descriptors are listed, which is fast; the objects behind them
   are searched for in the end, to name what has leaked.
4. Looking leaves the time to those that it waits for. A search through all objects may take half a
   second in a process of many, and other threads hardly run meanwhile: done at each look, it would
   slow a server twentyfold that works off what a client has left to it, and tell of a leak.

On Linux each ZeroMQ socket and context holds descriptors of its own, so counting those misses none.
Elsewhere descriptors can't be listed, and the sockets are searched for each time.

The one shared context, `pylm_lab.parts.core.zmq_context`, lives as long as the process: it and its
own descriptors are part of the baseline. Its sockets are not.
"""

from __future__ import annotations

import functools
import gc
import os
import sys
import sysconfig
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

__all__ = ["DEADLINE", "KINDS", "Snapshot", "open_context"]

#: What may leak, as the marker `may_leak` names it.
_LIBRARIES = sysconfig.get_paths()["purelib"]
KINDS = ("threads", "descriptors", "sockets")
#: Seconds after which what is still there has leaked.
DEADLINE = 3.0
#: Between two looks there are this many seconds, or this many times what a look takes.
_PAUSE, _TIMES = 0.002, 3

_FD = Path("/proc/self/fd")
_LINUX = _FD.is_dir()
_LISTENING = "0A"
_STATES = {"01": "established", "04": "fin_wait1", "05": "fin_wait2", "08": "close_wait"}


class Snapshot:
    """What there is before a test."""

    def __init__(self) -> None:
        _open_shared_context()
        self._shared_context = _shared_context()
        self._threads = set(threading.enumerate())
        self._descriptors = _descriptors()
        self._sockets = {id(socket) for socket in _open_sockets()} if not _LINUX else set()

    def leaks(self, *, allow: tuple[str, ...] = (), deadline: float = DEADLINE) -> list[str]:
        """A line for each thread, descriptor and ZeroMQ socket that was not there before.

        `allow` names kinds (of `KINDS`) that are not looked at; `deadline` is in seconds.
        """
        end = time.monotonic() + deadline
        if self._settled(allow, min(end, time.monotonic() + 0.1)):
            return []
        gc.collect()  # garbage in a cycle is no leak, and may hold sockets
        if self._settled(allow, end):
            return []
        threads, sockets, descriptors = self._new(allow)
        named = {_fileno(socket) for socket in sockets}
        return [
            *(f"thread {_describe(thread)}" for thread in threads),
            *(f"ZeroMQ socket {socket!r}, last at {_where(socket)}" for socket in sockets),
            *(f"descriptor {fd}: {_name(to)}" for fd, to in descriptors if fd not in named),
        ]

    def _settled(self, allow: tuple[str, ...], end: float) -> bool:
        """Whether nothing new is left, now or by `end`."""
        pause = threading.Event()
        while True:
            began = time.monotonic()
            threads, sockets, descriptors = self._new(allow, names=False)
            now = time.monotonic()
            left = end - now
            if not (threads or sockets or descriptors):
                return True
            if left <= 0:
                return False
            if threads:
                threads[0].join(min(left, 0.05))
            else:
                pause.wait(min(left, max(_PAUSE, _TIMES * (now - began))))

    def _new(
        self, allow: tuple[str, ...], *, names: bool = True
    ) -> tuple[list[threading.Thread], list[Any], list[tuple[int, str]]]:
        """What is new of each kind; without `names` no sockets if there is something else."""
        threads = [t for t in threading.enumerate() if t not in self._threads and t.is_alive()]
        descriptors = self._new_descriptors()
        # The test was the first to load the shared context: its descriptors look like the test's.
        first = _shared_context() is not self._shared_context
        if first:
            descriptors = [(fd, to) for fd, to in descriptors if _kind(to) != "anon_inode"]
        may_be_more = bool(descriptors) or first or not _LINUX
        threads = threads if "threads" not in allow else []
        descriptors = descriptors if "descriptors" not in allow else []
        wanted = "sockets" not in allow and (names or not (threads or descriptors))
        sockets = self._new_sockets() if may_be_more and wanted else []
        return threads, sockets, descriptors

    def _new_descriptors(self) -> list[tuple[int, str]]:
        """Those of each kind that has grown: one in place of another, as in a pool, is fine."""
        now = _descriptors()
        more = Counter(map(_kind, now.values()))
        more.subtract(map(_kind, self._descriptors.values()))
        old = self._descriptors.items()
        return [(fd, to) for fd, to in now.items() if more[_kind(to)] > 0 and (fd, to) not in old]

    def _new_sockets(self) -> list[Any]:
        if _LINUX:
            return [s for s in _open_sockets() if _fileno(s) not in self._descriptors]
        return [s for s in _open_sockets() if id(s) not in self._sockets]


def _shared_context() -> Any:
    return getattr(sys.modules.get("pylm_lab.parts.core"), "zmq_context", None)


def _open_shared_context() -> None:
    context = _shared_context()
    if context is not None and not context.closed:
        open_context(context)


@functools.cache
def open_context(context: Any) -> None:
    """Let a ZeroMQ context start its threads, so that their descriptors belong to a baseline.

    It does so for its first socket. Returns once that is gone again: a descriptor that is about to
    close would make the baseline one too high, and so hide a leak.
    """
    import zmq

    socket = context.socket(zmq.PAIR)
    descriptor = _FD / str(socket.fileno())
    socket.close()
    end = time.monotonic() + DEADLINE
    pause = threading.Event()
    while os.path.lexists(descriptor) and time.monotonic() < end:
        pause.wait(0.001)


def _open_sockets() -> list[Any]:
    """Every ZeroMQ socket of this process that is not closed."""
    zmq = sys.modules.get("zmq")
    if zmq is None:
        return []
    # By type: isinstance would ask a proxy for its __class__, and that may do anything.
    sockets: list[Any] = [o for o in gc.get_objects() if issubclass(type(o), zmq.Socket)]
    return [socket for socket in sockets if not socket.closed]


def _fileno(socket: Any) -> int:
    """The descriptor that the socket waits with, or -1 where it won't tell any more.

    Another thread may own the socket; reading this one option touches nothing that changes.
    """
    import zmq

    try:
        return int(socket.fileno())
    except zmq.ZMQError:
        return -1


def _where(socket: Any) -> str:
    """The address that it was last bound or connected to."""
    import zmq

    try:
        address: bytes = socket.getsockopt(zmq.LAST_ENDPOINT)
    except zmq.ZMQError as error:
        return f"an address that it won't tell ({error})"
    return address.rstrip(b"\0").decode("utf-8", "backslashreplace") or "no address"


def _describe(thread: threading.Thread) -> str:
    """Its name and the line at which it is."""
    frame = sys._current_frames().get(thread.ident or 0)
    if frame is None:
        return f"{thread.name!r}"
    file = Path(frame.f_code.co_filename).name
    return f"{thread.name!r}, in {frame.f_code.co_name} ({file}, line {frame.f_lineno})"


def _descriptors() -> dict[int, str]:
    """Descriptor → what it is open on. Empty where the system doesn't tell."""
    found: dict[int, str] = {}
    if not _LINUX:
        return found
    for entry in os.listdir(_FD):
        try:
            target = os.readlink(_FD / entry)
        except FileNotFoundError:
            continue  # closed meanwhile, as the one is that listed them
        # Libraries keep files of their own open for the process: matplotlib its fonts.
        if not target.startswith(("/dev/", _LIBRARIES)):
            found[int(entry)] = target
    return found


def _kind(target: str) -> str:
    """socket, pipe, anon_inode (what ZeroMQ and event loops wait with) or file."""
    return target.split(":")[0] if not target.startswith("/") else "file"


def _name(target: str) -> str:
    if not target.startswith("socket:["):
        return target
    tcp = _tcp().get(target.removeprefix("socket:[").removesuffix("]"))
    return f"{target}, {tcp}" if tcp else target


def _tcp() -> dict[str, str]:
    """Inode → what the kernel tells of a tcp socket: its state, its ends, what waits in it."""
    found: dict[str, str] = {}
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.is_file():
            continue
        for line in table.read_text(encoding="ascii").splitlines()[1:]:
            _, local, remote, state, queues, *_, inode = line.split()[:10]
            here, there = (int(end.rpartition(":")[2], 16) for end in (local, remote))
            if state == _LISTENING:
                found[inode] = f"listening on tcp port {here}"
            else:
                unsent, unread = (int(size, 16) for size in queues.split(":"))
                found[inode] = (
                    f"tcp port {here} to {there}, {_STATES.get(state, state)},"
                    f" {unsent} bytes unsent, {unread} unread"
                )
    return found
