"""Witness: how a process that is told to record itself hears whatever runs in it.

1. Whoever begins to run by itself (a server, a worker, a client) or as a whole (a cluster) calls
   `witness`; where nothing is installed that costs one test, once.
2. What is installed is heard beside the hooks that are attached, and no actor knows of it.
3. A process is a process: a forked child begins anew, and never writes what is its parent's.

Standard library only.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pylm_lab.hook import Decision, Hook, Hooks

__all__ = ["install", "unwitnessed", "witness"]

_log = logging.getLogger("pylm_lab.hook")


def _nothing() -> None:
    """What it takes to hear no more of what was never heard."""


class _Process:
    """The hooks that were made for what runs by itself in one process."""

    def __init__(self) -> None:
        # What is collected as garbage while it is held may leave.
        self.mutex = threading.RLock()
        #: Each hook, and the ids of those that it hears now.
        self.heard: list[tuple[Hook, set[str]]] = []
        #: Hooks of runs that have not ended.
        self.runs: list[Hook] = []

    def hears(self, hook: Hook) -> bool:
        return any(hook is one for one in (*self.runs, *(one for one, _ in self.heard)))


class _Installed:
    """Makes a hook for whatever begins to run."""

    def __init__(self, factory: Callable[..., Hook]) -> None:
        self._factory = factory
        #: By process id: a forked child, which has none of its parent's threads, begins anew.
        self._processes: dict[int, _Process] = {}

    def witness(
        self, hooks: Hooks, who: str, early: Iterable[Decision], about: dict[str, Any]
    ) -> Callable[[], None]:
        here = self._processes.setdefault(os.getpid(), _Process())
        others = [one for pid, one in list(self._processes.items()) if pid != os.getpid()]
        with here.mutex:
            for hook in hooks:
                if here.hears(hook):
                    return _nothing
                if any(other.hears(hook) for other in others):
                    hooks.remove(hook)  # its parent's
            if not who:
                hook = self._make(about)
                here.runs.append(hook)
            else:
                hook = self._free_of(here, who)
        hooks.add(hook)
        for decision in early:
            hook.decided(decision)
        return lambda: self._leave(here, hooks, hook, who)

    def _free_of(self, here: _Process, who: str) -> Hook:
        """The first that hears nobody else of this id; ids are unique in a record."""
        for hook, ids in here.heard:
            if who not in ids:
                ids.add(who)
                return hook
        hook = self._make({})
        here.heard.append((hook, {who}))
        return hook

    def _make(self, about: dict[str, Any]) -> Hook:
        try:
            return self._factory(**about)
        except Exception:  # noqa: BLE001 - as a hook that raises: the run goes on
            _log.exception("what was installed to hear this process failed")
            return Hook()

    def _leave(self, here: _Process, hooks: Hooks, hook: Hook, who: str) -> None:
        hooks.remove(hook)
        with here.mutex:
            for one, ids in here.heard:
                if one is hook:
                    ids.discard(who)
                    return
            here.runs[:] = [one for one in here.runs if one is not hook]
        close = getattr(hook, "close", None)
        if callable(close):
            close()


#: Actors are made anywhere, by anybody, and have no owner in common but their process. So what the
#: process was told by its environment has no other place than one name of this module.
_installed: _Installed | None = None
_unwitnessed: ContextVar[bool] = ContextVar("unwitnessed", default=False)


def install(factory: Callable[..., Hook] | None) -> None:
    """Let what the factory makes hear everything that begins to run in this process from now on.

    It is heard beside the hooks that others attach. The factory is called when something begins:
    once for each cluster, with what is known of that run (`schedule`, `seed`, `clock`, `scenario`,
    `options`), and its hook's `close()`, if it has one, when the cluster has ended; and, without
    arguments, once for all else, that is servers, workers and clients which run by themselves, and
    once more for each that bears the id of one which is heard already. A forked child begins anew.
    What is installed takes the place of what was before; None: nothing is.
    """
    global _installed
    _installed = None if factory is None else _Installed(factory)


@contextmanager
def unwitnessed() -> Iterator[None]:
    """Let what begins in this thread meanwhile be heard by nobody who was installed.

    For runs that are tried by the thousand, and of which those that matter are kept anyway.
    """
    token = _unwitnessed.set(True)
    try:
        yield
    finally:
        _unwitnessed.reset(token)


def witness(
    hooks: Hooks, who: str = "", early: Iterable[Decision] = (), **about: Any
) -> Callable[[], None]:
    """Let what is installed hear these hooks, until what is returned is called.

    It is added unless one that was installed is among them already. `who` is the id of a server or
    an actor that runs by itself; a whole run has none, and tells `about` itself and what was
    decided before it began.
    """
    if _installed is None or _unwitnessed.get():
        return _nothing
    return _installed.witness(hooks, who, early, about)
