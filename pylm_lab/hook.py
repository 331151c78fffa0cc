"""The waist of pylm_lab: what a run tells, and how to listen.

1. Everything that runs speaks through these events; everything that draws or checks hears them.
2. A hook listens by overriding methods of `Hook`. What it does not override costs nothing.
3. A hook that raises is logged once and removed; the run goes on.
4. Events of one actor come in its own order, from its own thread (those about wiring from the
   thread that wires). Nothing is promised about the order between actors.

Times (`at`) are integers: nanoseconds of a monotonic clock in a free run, the step number in a
controlled one. Standard library only.
"""

from __future__ import annotations

import inspect
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "GAVE_NOTHING",
    "Actor",
    "Decision",
    "FaultKind",
    "Hook",
    "Hooks",
    "Kind",
    "Port",
    "Route",
]

#: What a frame sequence is to its link: a PALM message on its way; a credit (an acknowledgement
#: inside a server); a request and its answer (REQ and REP); a subscription's echo.
Kind = Literal["message", "credit", "request", "answer", "ready"]

#: The cause of a drop where nothing was to come of a message: a function of the user's gave none.
GAVE_NOTHING = "its function gave nothing for it"

#: What can be done to a message or to an actor on purpose; see `pylm_lab.faults`.
FaultKind = Literal["drop", "delay", "duplicate", "reorder", "corrupt", "stop", "crash", "part"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Actor:
    """Whoever owns ports, as declared.

    `id` is unique in a run (`server.Pull`, `worker1`); `label` is what it calls itself (`Pull`).
    `role` is inbound, outbound, bypass or router (all of a server), worker or client, or program: a
    program of somebody's, whose sockets are watched. `kind` is its class. `server` is the id of the
    server that it is a part of, else empty. `serves` names the server that a worker or client
    belongs to. `blocks`: it expects its pair to answer.
    """

    id: str
    label: str
    role: Literal["inbound", "outbound", "bypass", "router", "worker", "client", "program"]
    kind: str
    server: str = ""
    serves: str = ""
    blocks: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Port:
    """One end of a link, as declared.

    `socket` is the ZeroMQ type (`PULL`), `outer` tells a port to the outside from one to the
    router, `sends` and `receives` say what crosses it in each direction (empty: nothing).
    """

    id: str
    actor: str
    socket: str
    binds: bool
    outer: bool
    sends: Kind | Literal[""] = ""
    receives: Kind | Literal[""] = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Route:
    """A row of a routing table, numbered from 1 as registered, inbound parts first.

    `source` and `target` are actor ids. `feedback` tells how the answer travels: `""` it is only
    acknowledged, `"waits"` the source gets the target's feedback, `"on"` the row itself hands on
    the feedback of an outbound part.
    """

    server: str
    number: int
    source: str
    target: str
    feedback: Literal["", "waits", "on"] = ""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was chosen at one step of a controlled run: enough to run along it again.

    `kind` is the operation (`start`, `receive`, `send`, `connect`, `subscribe`, `unsubscribe`,
    `timeout`, `quiet`) of the `actor` at its `port` (ids; empty where there is none), or `inject`:
    a fault was planted, which `text` tells.
    """

    at: int
    kind: str
    actor: str = ""
    port: str = ""
    text: str = ""


class Hook:
    """Override what you want to hear. Every method may be called from any thread.

    `failed` is the error for which a hook was removed, None while it is well. With `precise` the
    clock is read for every hop, instead of once for what was received or sent together.
    """

    failed: Exception | None = None
    precise: bool = False

    def actor_declared(self, actor: Actor) -> None:
        """An actor exists. Comes before anything else is said of it."""

    def port_declared(self, port: Port) -> None:
        """An actor has this port."""

    def route_declared(self, route: Route) -> None:
        """A router will follow this row."""

    def port_bound(self, port: Port, address: str, at: int) -> None:
        """The port's socket is bound to the address (a free tcp port already resolved)."""

    def port_connected(self, port: Port, address: str, at: int) -> None:
        """The port's socket was connected to the address (its peer may not be there yet)."""

    def port_disconnected(self, port: Port, address: str, at: int) -> None:
        """The port's socket left the address, or was closed."""

    def topic_subscribed(self, port: Port, topic: bytes, at: int) -> None:
        """A subscriber asked for everything that begins with the topic."""

    def topic_unsubscribed(self, port: Port, topic: bytes, at: int) -> None:
        """A subscriber asked for the topic no longer."""

    def subscription_seen(self, port: Port, topic: bytes, subscribed: bool, at: int) -> None:
        """A publisher learnt that somebody subscribed to the topic (False: unsubscribed)."""

    def actor_started(self, actor: str, at: int) -> None:
        """The actor's loop begins. `actor` is its id."""

    def actor_waiting(self, actor: str, ports: tuple[Port, ...], at: int) -> None:
        """The actor has nothing to do until one of these ports can move.

        Comes in free runs each time that the actor goes to sleep; not in controlled ones, where
        everybody always waits for a turn.
        """

    def actor_stopped(self, actor: str, at: int) -> None:
        """The actor's loop has ended, normally or after `actor_failed`."""

    def actor_failed(self, actor: str, error: BaseException, at: int) -> None:
        """The actor's loop ends with this error."""

    def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
        """The port has sent these frames. Do not change the list."""

    def hop_received(self, port: Port, frames: list[bytes], at: int) -> None:
        """The port has received these frames. Do not change the list."""

    def hop_dropped(self, port: Port, frames: list[bytes], cause: str, at: int) -> None:
        """The actor gives up these frames at the port, for the cause that is named."""

    def fault_struck(
        self,
        actor: str,
        port: Port | None,
        frames: list[bytes],
        fault: FaultKind,
        why: str,
        at: int,
    ) -> None:
        """A fault acts on the actor, or on these frames, which its port was about to receive.

        `why` is a clause (`a rule drops the 3rd message`). What is dropped is told as a hop dropped
        right after. Do not change the list.
        """

    def decided(self, decision: Decision) -> None:
        """A controlled run has chosen what happens next, or a fault was planted."""

    def hops_sent(self, port: Port, batch: list[list[bytes]], at: int | list[int]) -> None:
        """The port has sent these messages, one after the other.

        `at` is one time for all, or a list of one for each. It tells `hop_sent` of each; whoever
        overrides it, for speed, is told of the batch alone.
        """
        for frames, when in zip(batch, _times(at), strict=False):
            self.hop_sent(port, frames, when)

    def hops_received(self, port: Port, batch: list[list[bytes]], at: int | list[int]) -> None:
        """The port has received these messages, one after the other; as `hops_sent`."""
        for frames, when in zip(batch, _times(at), strict=False):
            self.hop_received(port, frames, when)


def _times(at: int | list[int]) -> Iterable[int]:
    return itertools.repeat(at) if isinstance(at, int) else at


_EVENTS = tuple(name for name, value in vars(Hook).items() if inspect.isfunction(value))
_HOPS = ("hops_sent", "hops_received", "hop_dropped")
#: Events that tell others by default: overriding one of those is hearing this one.
_TELLS = {"hops_sent": "hop_sent", "hops_received": "hop_received"}
_log = logging.getLogger("pylm_lab.hook")
_failing = threading.Lock()


def _nothing(*_: Any) -> None:
    """What an event costs when nobody overrides it."""


class Hooks(Hook):
    """Several hooks as one, calling only methods that somebody overrides.

    Each event is an attribute of the instance: a no-op, the one listener's method behind a guard,
    or a loop over several. `active` is False while nobody hears hops; a port asks that and nothing
    else, and messages carry an id only while it is True. `precise` is what any of them is.
    """

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self._mutex = threading.Lock()
        self._set(())
        for hook in hooks:
            self.add(hook)

    def add(self, hook: Hook) -> None:
        """Let the hook hear everything from now on; once, however often it is added.

        Of several hooks as one, those are added that it consists of now.
        """
        if not isinstance(hook, Hook):
            raise TypeError(f"{hook!r} is no Hook: derive it from pylm_lab.Hook")
        if isinstance(hook, Hooks):
            for one in hook:
                self.add(one)
            return
        with self._mutex:
            if not any(h is hook for h in self._hooks):
                self._set((*self._hooks, hook))

    def remove(self, hook: Hook) -> None:
        """Let the hook hear nothing more. A hook that is not there is no error."""
        with self._mutex:
            self._set(tuple(h for h in self._hooks if h is not hook))

    def exchange(self, old: Iterable[Hook], new: Iterable[Hook]) -> tuple[Hook, ...]:
        """Let the new ones hear instead of the old ones; returns the new ones."""
        for one in old:
            self.remove(one)
        added = tuple(new)
        for one in added:
            self.add(one)
        return added

    def hears(self, event: str) -> bool:
        """Somebody has overridden this event."""
        return getattr(self, event) is not _nothing

    def __iter__(self) -> Iterator[Hook]:
        return iter(self._hooks)

    def _set(self, hooks: tuple[Hook, ...]) -> None:
        self._hooks: tuple[Hook, ...] = hooks
        for name in _EVENTS:
            listeners = [
                self._guarded(hook, getattr(hook, name), name)
                for hook in hooks
                if _overrides(hook, name) or _overrides(hook, _TELLS.get(name, name))
            ]
            setattr(self, name, _fan_out(listeners))
        self.active = any(self.hears(name) for name in _HOPS)
        self.precise = any(hook.precise for hook in hooks)

    def _guarded(self, hook: Hook, method: Callable[..., None], event: str) -> Callable[..., None]:
        def call(*args: Any) -> None:
            try:
                method(*args)
            except Exception as error:  # noqa: BLE001 - a hook is anybody's code, and only listens
                self.remove(hook)
                with _failing:
                    # It may be added in several places, and fail in several threads at once.
                    first, hook.failed = hook.failed is None, hook.failed or error
                if first:
                    _log.exception("%r failed in %s and was removed", hook, event)

        return call


def _overrides(hook: Hook, event: str) -> bool:
    method = getattr(hook, event)
    return getattr(method, "__func__", method) is not getattr(Hook, event)


def _fan_out(listeners: list[Callable[..., None]]) -> Callable[..., None]:
    if not listeners:
        return _nothing
    if len(listeners) == 1:
        return listeners[0]

    def call(*args: Any) -> None:
        for listener in listeners:
            listener(*args)

    return call
