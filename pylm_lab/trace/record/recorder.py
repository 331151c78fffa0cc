"""Recorder: the hook that writes a run down.

1. Rows go, undecoded, to a list of the actor's own: no lock, no global counter.
2. What is kept of a message is bounded: its sizes, its stamp and its first bytes.
3. Everything that can wait (ids, excerpts, the order between actors) waits until the trace is
   asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pylm_lab import wire
from pylm_lab.errors import RunError
from pylm_lab.hook import Actor, Decision, FaultKind, Hook, Port, Route
from pylm_lab.trace.record.tape import Tape
from pylm_lab.trace.records import What

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Recorder"]

#: Characters of a cause or an error.
TEXT = 500


class Told(NamedTuple):
    """What was declared and decided in a run, and whether its recorder has failed."""

    actors: tuple[Actor, ...]
    ports: tuple[Port, ...]
    routes: tuple[Route, ...]
    decisions: tuple[Decision, ...]
    failed: bool


class Recorder(Hook):
    """Writes down everything that it hears; `trace` tells it.

    Attach it to whatever runs, before it starts: `cluster.attach(recorder)`,
    `server.attach(recorder)`.

    Args:
        limit: keep the last so many events of each actor, for a run of any length; `dropped`
            counts the others. The trace begins where all of them are known. None: keep everything.
            Decisions are all kept, whatever the limit: without its first ones a run can't be run
            along them again.
        precise: read the clock for every hop, instead of once for what came or went together.
        schedule, seed, clock, scenario, options: what the trace says of itself.
    """

    def __init__(
        self,
        *,
        limit: int | None = None,
        precise: bool = False,
        schedule: str = "free",
        seed: int | None = None,
        clock: Literal["ns", "step"] = "ns",
        scenario: str = "",
        options: Mapping[str, int] | None = None,
    ) -> None:
        if limit is not None and (
            isinstance(limit, bool) or not isinstance(limit, int) or limit < 1
        ):
            raise ValueError(f"limit={limit!r}: a number of events to keep, at least 1, or None")
        self.precise = precise
        self._limit = limit
        self._about: dict[str, Any] = {
            "schedule": schedule,
            "seed": seed,
            "clock": clock,
            "scenario": scenario,
            "options": options or {},
        }
        self._actors: dict[str, Actor] = {}
        self._ports: dict[str, Port] = {}
        self._routes: dict[tuple[str, int], Route] = {}
        self._tapes: dict[str, Tape] = {}
        self._decisions: list[Decision] = []
        #: How much was heard when the trace was last told, and that trace.
        self._told: tuple[tuple[int, ...], Trace] | None = None

    def about(self, **about: Any) -> None:
        """Let the trace say this of itself: `schedule`, `seed`, `clock`, `scenario`, `options`."""
        self._about.update(about)
        self._told = None

    @property
    def trace(self) -> Trace:
        """All that was heard so far; the same object until something more is heard.

        May be asked for while the run goes on. Of a recorder that has `failed`, and so was removed
        from the run, it tells what was heard before: the record of all who had not ended is `cut`.

        Raises:
            RunError: it failed before anything was declared, so there is nothing to tell.
        """
        if self.failed is not None and not self._actors:
            raise RunError(
                f"nothing was recorded: the recorder failed at once ({_named(self.failed)});"
                " the log has where"
            )
        # Tapes first: whatever they speak of has been declared by then.
        kept = {actor: tape.copy() for actor, tape in list(self._tapes.items())}
        counts = [(len(own.last), len(own.facts), own.dropped) for own in kept.values()]
        declared = len(self._actors), len(self._ports), len(self._routes)
        heard = (*map(sum, zip(*counts, strict=True)), len(self._decisions), *declared)
        heard = (*heard, self.failed is not None)
        told = self._told
        if told is None or told[0] != heard:
            # Only now: who records, and asks for no trace, needs no numpy.
            from pylm_lab.trace.record.telling import tell

            told = self._told = heard, tell(self._declared(), kept, self._about)
        return told[1]

    def _declared(self) -> Told:
        """What was declared and decided so far."""
        return Told(
            tuple(self._actors.values()),
            tuple(self._ports.values()),
            tuple(self._routes.values()),
            tuple(self._decisions),
            self.failed is not None,
        )

    @property
    def dropped(self) -> int:
        """How many events were forgotten to stay within the limit."""
        return sum(tape.dropped for tape in list(self._tapes.values()))

    def totals(self) -> Counter[tuple[str, What]]:
        """How many messages were sent, received and dropped at each port, forgotten ones included.

        The keys are (port id, `send` | `receive` | `drop`).
        """
        tapes = list(self._tapes.values())
        return sum((tape.copy().totals() for tape in tapes), Counter[tuple[str, What]]())

    # What is declared

    def actor_declared(self, actor: Actor) -> None:
        self._actors[actor.id] = actor

    def port_declared(self, port: Port) -> None:
        self._ports[port.id] = port

    def route_declared(self, route: Route) -> None:
        self._routes[route.server, route.number] = route

    # What happens

    def _tape(self, actor: str) -> Tape:
        tape = self._tapes.get(actor)
        if tape is None:
            # Two threads may meet here: the one that wires, and the actor's own.
            tape = self._tapes.setdefault(actor, Tape(self._limit))
        return tape

    def _note(
        self, what: What, at: int, actor: str, port: Port | None = None, text: str = ""
    ) -> None:
        self._tape(actor).fact(at, what, port, text)

    def port_bound(self, port: Port, address: str, at: int) -> None:
        self._note("bind", at, port.actor, port, address)

    def port_connected(self, port: Port, address: str, at: int) -> None:
        self._note("connect", at, port.actor, port, address)

    def port_disconnected(self, port: Port, address: str, at: int) -> None:
        self._note("disconnect", at, port.actor, port, address)

    def topic_subscribed(self, port: Port, topic: bytes, at: int) -> None:
        self._note("subscribe", at, port.actor, port, wire.text(topic))

    def topic_unsubscribed(self, port: Port, topic: bytes, at: int) -> None:
        self._note("unsubscribe", at, port.actor, port, wire.text(topic))

    def subscription_seen(self, port: Port, topic: bytes, subscribed: bool, at: int) -> None:
        self._note("seen" if subscribed else "unseen", at, port.actor, port, wire.text(topic))

    def actor_started(self, actor: str, at: int) -> None:
        self._note("start", at, actor)

    def actor_stopped(self, actor: str, at: int) -> None:
        self._note("stop", at, actor)

    def actor_failed(self, actor: str, error: BaseException, at: int) -> None:
        self._note("fail", at, actor, None, _named(error))

    def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
        self.hops_sent(port, [frames], at)

    def hop_received(self, port: Port, frames: list[bytes], at: int) -> None:
        self.hops_received(port, [frames], at)

    def hops_sent(self, port: Port, batch: list[list[bytes]], at: int | list[int]) -> None:
        tape = self._tapes.get(port.actor) or self._tape(port.actor)
        tape.hops("send", port, batch, at)

    def hops_received(self, port: Port, batch: list[list[bytes]], at: int | list[int]) -> None:
        tape = self._tapes.get(port.actor) or self._tape(port.actor)
        tape.hops("receive", port, batch, at)

    def hop_dropped(self, port: Port, frames: list[bytes], cause: str, at: int) -> None:
        self._tape(port.actor).drop(port, frames, at, cause[:TEXT])

    def fault_struck(
        self,
        actor: str,
        port: Port | None,
        frames: list[bytes],
        fault: FaultKind,
        why: str,
        at: int,
    ) -> None:
        self._tape(actor).fault(fault, port, frames, at, why[:TEXT])

    def decided(self, decision: Decision) -> None:
        self._decisions.append(decision)


def _named(error: BaseException) -> str:
    """The kind of an error, and what it says."""
    name, text = type(error).__name__, str(error)
    return f"{name}: {text}"[:TEXT] if text else name
