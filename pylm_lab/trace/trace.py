"""Trace: the immutable record of a run, and the hops that it tells of.

1. A trace is what the hook heard, in one order in which causes come before effects; nothing in it
   was worked out by simulating.
2. Whatever can be derived (hops, links, message numbers) is derived here, once, from the events.
3. A hop's two ends are matched by the message's id; frames without an id are matched as the answer
   to their request, or in order on their link.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from pylm_lab.hook import Actor, Decision, Kind, Port, Route
from pylm_lab.trace.builder import columns_of
from pylm_lab.trace.columns import Events, Hops
from pylm_lab.trace.exported import Exported
from pylm_lab.trace.hops.assembly import hops
from pylm_lab.trace.hops.declared import Declared
from pylm_lab.trace.hops.faults import Faults, struck
from pylm_lab.trace.numbers import Numbers
from pylm_lab.trace.records import Event, Hop
from pylm_lab.trace.rules.check import Finding, check
from pylm_lab.trace.show import table
from pylm_lab.trace.show.spacetime import SpaceTime
from pylm_lab.trace.tables import KINDS

if TYPE_CHECKING:
    import networkx as nx

    from pylm_lab.trace.ask.activity import Activities
    from pylm_lab.trace.ask.causes import Causes
    from pylm_lab.trace.ask.critical import CriticalPath
    from pylm_lab.trace.ask.difference import Difference
    from pylm_lab.trace.ask.messages import Message, Messages
    from pylm_lab.trace.ask.traffic import Links

__all__ = ["Event", "Hop", "Trace"]

#: The kinds of what has a number.
_NAMED = [KINDS.index("message"), KINDS.index("request")]


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Trace(Exported):
    """The immutable record of a run.

    `schedule` is `free`, `stepped`, `seeded` or `replayed`, `seed` the generator's seed or None,
    `clock` what `Event.at` counts (`ns` or `step`), `scenario` the name of the ready-made cluster
    or empty and `options` the numbers that it was made with. `decisions` are what a controlled run
    chose, step by step, in the order in which it did; a free run has none. `forgotten` counts
    events that its recorder has not kept: then it tells the end of what every actor did. `cut` are
    the ids of actors whose record ends early, since their process died or was still running: what
    they did after that is not known. `left_out` counts the events that `filter` or a slice left
    out, and `whole` is the trace that they were left out of, as long as it is at hand; what
    messages are `called` in it, a file of a part tells as well.

    `events` may be given as any events; they are kept as columns (`pylm_lab.trace.columns`). Traces
    are equal if they tell the same.
    """

    actors: tuple[Actor, ...] = ()
    ports: tuple[Port, ...] = ()
    routes: tuple[Route, ...] = ()
    events: Sequence[Event] = ()
    schedule: str = "free"
    seed: int | None = None
    clock: Literal["ns", "step"] = "ns"
    scenario: str = ""
    options: dict[str, int] = field(default_factory=dict, hash=False)
    decisions: tuple[Decision, ...] = ()
    forgotten: int = 0
    cut: tuple[str, ...] = ()
    left_out: int = 0
    whole: Trace | None = field(default=None, compare=False)
    called: dict[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        own = columns_of(
            self.events, (actor.id for actor in self.actors), (port.id for port in self.ports)
        )
        object.__setattr__(self, "events", own)
        if self.whole is not None and self.whole.columns.tables is not own.tables:
            # Its events are others: of the whole it has only the names.
            object.__setattr__(self, "called", self.whole.numbers)
            object.__setattr__(self, "whole", None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        return all(
            _told(getattr(self, one.name)) == _told(getattr(other, one.name))
            for one in fields(self)
            if one.compare
        )

    def __hash__(self) -> int:
        return hash((self.schedule, self.seed, self.scenario, len(self.events)))

    @property
    def columns(self) -> Events:
        """The events as columns."""
        assert isinstance(self.events, Events)
        return self.events

    @property
    def how(self) -> str:
        """How the run was scheduled, in words: `seeded 1`, `stepped`, `free`."""
        # Who steps or chooses, and names no seed, has 0.
        chosen = self.schedule in ("stepped", "chosen") and not self.seed
        return self.schedule if self.seed is None or chosen else f"{self.schedule} {self.seed}"

    @cached_property
    def hops(self) -> Hops:
        """Every hop, in the order in which they begin."""
        return hops(self.ports, self.actors, self.columns)

    @cached_property
    def faults(self) -> Faults:
        """Which drops and which receives are the work of a fault."""
        return Faults.of(self.columns)

    @cached_property
    def struck(self) -> dict[int, int]:
        """Position in `events` of each fault that acts on frames → position in `hops` of theirs."""
        return struck(self.columns, self.hops)

    @cached_property
    def declared(self) -> Declared:
        """Which ports were at one link, as far as was declared."""
        return Declared(self.actors, self.ports, self.columns)

    def hops_of(self, *kinds: Kind) -> Iterator[Hop]:
        """The hops of these kinds, in order."""
        return (hop for hop in self.hops if hop.kind in kinds)

    @cached_property
    def numbers(self) -> dict[str, str]:
        """A short name for each message id, in order of first appearance.

        `1`, `2`, … for messages, `1.1`, `1.2`, … for the children of 1, `r1`, `r2`, … for requests.
        """
        if self.whole is not None:
            # A part calls its messages what they are called in the whole.
            own = {self.columns.ids[n] for n in set(self.columns.message.tolist())}
            return {id: name for id, name in self.whole.numbers.items() if id in own}
        return dict(self.called) or number(self.columns)

    @cached_property
    def ids_by_number(self) -> dict[str, str]:
        """Short name → message id: `numbers` the other way round."""
        return {number: id for id, number in self.numbers.items()}

    def actor(self, id: str) -> Actor:
        """The actor of this id; KeyError if there is none."""
        return self._by_id[id]

    @cached_property
    def _by_id(self) -> dict[str, Actor]:
        return {actor.id: actor for actor in self.actors}

    @cached_property
    def labels(self) -> dict[str, str]:
        """What to call each actor: its own label where that is unique, else its id."""
        count = Counter(actor.label for actor in self.actors)
        return {a.id: a.label if count[a.label] == 1 else a.id for a in self.actors}

    def path(self, message: str) -> list[str]:
        """The actors that a message id visited, in order; for one that went one way only."""
        path: list[str] = []
        for hop in self.hops:
            if hop.message == message and hop.kind == "message" and hop.source:
                path.extend(a for a in hop.link if a and (not path or path[-1] != a))
        return path

    # What one can ask of it: each question has a module of its own, loaded when it is asked.

    @cached_property
    def causes(self) -> Causes:
        """What each event came from, in columns (see `pylm_lab.trace.ask.causes`)."""
        from pylm_lab.trace.ask.causes import Causes

        return Causes(self)

    def filter(
        self,
        *,
        actor: str | Iterable[str] | None = None,
        part: str | Iterable[str] | None = None,
        message: str | int | Message | Iterable[str | int | Message] | None = None,
        kind: str | Iterable[str] | None = None,
        between: tuple[float | None, float | None] | None = None,
    ) -> Trace:
        """The part of the trace that this is about, as a trace; several conditions all hold.

        A hop is kept whole, with both of its ends, or left out; what was declared, bound, started
        and so on is kept. Messages keep the numbers that they have in the whole trace. Each but
        `between` may be one value or several, any of which will do.

        Args:
            actor: an id or a label: hops that begin or end there.
            part: the same of the parts and routers of servers only.
            message: a number (`"3"`, `3`), an id or a `Message`: it, what was made of it, what was
                asked on its behalf, and so on.
            kind: `message`, `credit`, `request`, `answer` or `ready`.
            between: (start, end), in steps or nanoseconds: hops that were under way at any moment
                from start to end; None is the beginning or the end of the trace.

        Raises:
            UnknownName: there is no such actor, part, message or kind; the text tells the nearest.
            LabError: `between` is no pair of times.
        """
        from pylm_lab.trace.ask.filtering import chosen

        return chosen(self, actor=actor, part=part, message=message, kind=kind, between=between)

    @overload
    def __getitem__(self, n: int) -> Hop: ...
    @overload
    def __getitem__(self, n: slice) -> Trace: ...
    def __getitem__(self, n: int | slice) -> Hop | Trace:
        """The hop at this position in `hops`; for a slice, a trace with only these hops."""
        if not isinstance(n, slice):
            return self.hops[n]
        from pylm_lab.trace.ask.filtering import part

        return part(self, n)

    @cached_property
    def messages(self) -> Messages:
        """The messages, each with its whole journey: `trace.messages["2"]`."""
        from pylm_lab.trace.ask.messages import Messages

        return Messages(self)

    @cached_property
    def links(self) -> Links:
        """What crossed each link: (source, target) → counts, and how long its queue was when."""
        from pylm_lab.trace.ask.traffic import Links

        return Links(self)

    @cached_property
    def activity(self) -> Activities:
        """What each actor did: id → counts, and how long it worked and waited."""
        from pylm_lab.trace.ask.activity import Activities

        return Activities(self)

    def critical_path(self, message: str | int | Message) -> CriticalPath:
        """What the answer to a message (a number, an id or a Message) waited for, back to it.

        Raises:
            UnknownName: there is no such message.
        """
        from pylm_lab.trace.ask.critical import critical_path

        name: Any = getattr(message, "id", message)  # whatever is given, one error names it
        return critical_path(self.messages[name])

    def diff(self, other: Trace) -> Difference:
        """How another trace differs from this one: where first, then in what, in sentences.

        Raises:
            TypeError: it is no trace.
        """
        from pylm_lab.trace.ask.difference import difference

        return difference(self, other)

    @property
    def message_graph(self) -> nx.DiGraph[int]:
        """What caused what: a networkx.DiGraph with a node per hop (see pylm_lab.graph)."""
        module = importlib.import_module("pylm_lab.graph")
        return module.message_graph(self)  # type: ignore[no-any-return]

    @property
    def graph(self) -> nx.MultiDiGraph[str]:
        """What was observed: a networkx.MultiDiGraph with an edge per hop (see pylm_lab.graph)."""
        return importlib.import_module("pylm_lab.graph").graph(self)  # type: ignore[no-any-return]

    @property
    def wiring(self) -> nx.MultiDiGraph[str]:
        """What was declared: an edge for each direction in which a link can carry something."""
        return importlib.import_module("pylm_lab.graph").wiring(self)  # type: ignore[no-any-return]

    def check(self, only: str | Iterable[str] | None = None) -> list[Finding]:
        """What this run did that no run should: an empty list when all is well.

        `only` names the invariants that are asked: `conservation`, `failures`, `waiting`,
        `answers`, `order`, `stages`, `bypass`, `declared links`, or one of your own
        (`lab.invariant`). A finding that is `unsure` says what the record does not tell.

        Raises:
            WiringError: there is no invariant of a name.
        """
        return check(self, only)

    def save(self, path: str | Path) -> Path:
        """Write the trace as JSON Lines; the same trace gives the same bytes. Returns the path.

        It is compressed if the name ends in `.gz`. What `pylm_lab.trace.file.store` says of the
        format is all there is to it.

        Raises:
            OutputError: the file can't be written.
        """
        from pylm_lab.trace.file import store  # it makes traces, so it imports this module

        return store.save(self, path)

    @staticmethod
    def load(path: str | Path) -> Trace:
        """Read a trace that `save` wrote, or a journal, as far as it goes.

        Raises:
            TraceFileError: the file can't be read, is no trace, of a newer version, or broken (the
                text says where).
        """
        from pylm_lab.trace.file import store  # as above

        return store.load(path)

    @staticmethod
    def join(traces: Iterable[Trace]) -> Trace:
        """The traces of several processes as one, in one causal order.

        What two of them call alike is renamed in the second (`client#2`), unless both tell of the
        same process. Times count from the first event of all, as far as the messages tell how the
        clocks stand to each other: see `pylm_lab.trace.join.join`.

        Raises:
            TypeError: something else than a trace is given.
        """
        from pylm_lab.trace.join.join import join  # as above

        return join(traces).trace

    def spacetime(self, first: int = 0, rows: int = 40) -> SpaceTime:
        """Who did what, in causal order: a column for each actor, a row for each event.

        A table, for `print` and for a notebook, of so many rows from the one numbered `first` on
        (from 0).

        Raises:
            ValueError: these are no numbers of rows.
        """
        return SpaceTime(self, first, rows)

    def __repr__(self) -> str:
        return table.text(self)

    def _repr_html_(self) -> str:
        return table.html(self)


def _told(value: object) -> object:
    """What is compared of a field: of what is declared, all that it says."""
    if isinstance(value, tuple):
        return [vars(one) if isinstance(one, Actor | Port | Route) else one for one in value]
    return value


def number(events: Events) -> dict[str, str]:
    """Message id → short name, in order of first appearance."""
    numbers = Numbers()
    named = np.isin(events.kind, _NAMED) & (events.message > 0)
    at = np.flatnonzero(named)
    first = at[np.unique(events.message[at], return_index=True)[1]]
    for n in np.sort(first).tolist():
        row = events.content.item(n)
        numbers.see(
            KINDS[events.kind.item(n)],
            events.ids[events.contents.message.item(row)],
            events.ids[events.contents.parent.item(row)],
        )
    return numbers
