"""Messages: the whole journey of each message, found by its number.

1. A message is what has one id, from its first event to the arrival of its answer at whoever sent
   it first. What is made of it (by scatter, gather or mux) has an id of its own and is its child;
   what was asked on its behalf is a request.
2. It is answered when it, or failing that something made of it, comes back to who asked: to who
   sent it first or, of what was made of another message, to who sent that first.
3. Frames without an id are no message; they are in `Trace.hops`. The answer to a request belongs to
   the request.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pylm_lab.hook import Kind
from pylm_lab.trace.ask.causes import Causes
from pylm_lab.trace.ask.latency import Latency, latencies
from pylm_lab.trace.ask.legs import Leg, legs, way
from pylm_lab.trace.ask.lookup import message_id
from pylm_lab.trace.records import Hop
from pylm_lab.trace.show.grid import ROWS, Column, Grid, lasting, many, moment, name_of, unit
from pylm_lab.trace.tables import KINDS, Flags, Positions, code

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Message", "Messages"]

_SEND = code("send")
_MESSAGE = KINDS.index("message")
#: Messages made of messages made of messages, up to here; and how often twice as many, in ids that
#: lead in a circle.
_GENERATIONS = 1_000
_DOUBLINGS = 32


class Message:
    """One message: where it was, what became of it, and where its time went.

    `trace` is the trace that tells of it, `id` its id, `number` the short name that everything
    calls it by. Times are of the trace's clock: steps, or nanoseconds.
    """

    def __init__(self, trace: Trace, index: int) -> None:
        self.trace = self._trace = trace
        self._index = index
        self.id: str = trace.columns.ids[index]
        self.number: str = trace.numbers.get(self.id, "")

    @property
    def _all(self) -> Messages:
        return self._trace.messages

    @property
    def kind(self) -> Kind:
        """What its first event says it is: `message`, or `request`."""
        kind = KINDS[self._trace.columns.kind[self._first]]
        return "message" if kind == "message" else "request"

    @property
    def _first(self) -> int:
        return self._trace.causes.first.item(self._index)

    @property
    def function(self) -> str:
        """What it asks for, as text: a server and a function, or a key."""
        return self._trace.events[self._first].function

    @cached_property
    def parent(self) -> Message | None:
        """The message that it was made of, or was asked for; None if there is none in the trace."""
        made_of = self._trace.causes.made_of.item(self._index)
        known = made_of and self._trace.causes.first[made_of] >= 0
        return Message(self._trace, made_of) if known else None

    @property
    def children(self) -> tuple[Message, ...]:
        """The messages that were made of it, by scatter, gather or mux, in order of appearance."""
        return self._all.made_of(self._index, "message")

    @property
    def requests(self) -> tuple[Message, ...]:
        """What was asked on its behalf, in order of appearance."""
        return self._all.made_of(self._index, "request")

    @cached_property
    def hops(self) -> tuple[Hop, ...]:
        """Its hops, in the order in which they begin; a request's include those of its answer."""
        hops = self._trace.hops
        return tuple(hops[n] for n in np.flatnonzero(self._all.of_hops == self._index).tolist())

    @property
    def answered(self) -> bool:
        """It, or something made of it, came back to who sent it first."""
        return bool(self._all.answers[self._index] >= 0)

    @cached_property
    def way(self) -> tuple[int, ...]:
        """Its way: the positions in `Trace.events` of its first event, of what came of that, and so
        on until the arrival of its answer, or until its last event if there is none."""
        return way(self._trace, self._first, self._all.ends.item(self._index))

    @property
    def path(self) -> tuple[str, ...]:
        """The actors along its way, by id."""
        path: list[str] = []
        for n in self.way:
            actor = self._trace.columns.tables.actors[self._trace.columns.actor[n]]
            if not path or path[-1] != actor:
                path.append(actor)
        return tuple(path)

    @property
    def begins(self) -> int:
        """When it was sent for the first time."""
        return self._trace.columns.at.item(self._first)

    @property
    def ends(self) -> int:
        """When its answer came back; of one without, when something was heard of it last."""
        return self._trace.columns.at.item(self._all.ends.item(self._index))

    @cached_property
    def legs(self) -> tuple[Leg, ...]:
        """Where its time went, piece by piece along its way (see `pylm_lab.trace.ask.legs`)."""
        return legs(self._trace, self.way)

    @property
    def latency(self) -> Latency:
        """The sums of its legs, by what they are; `total` is `ends - begins`."""
        return Latency(*self._all.latencies[:, self._index].tolist())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return self._trace is other._trace and self._index == other._index

    def __hash__(self) -> int:
        return hash(self.id)

    def _grid(self) -> Grid:
        trace = self._trace
        rows = []
        for leg in self.legs[:ROWS]:
            known = (trace.labels.get(end, end) for end in (leg.source, leg.actor) if end)
            where = " → ".join(known) + " (somebody between was not recorded)" * leg.unseen
            rows.append((moment(trace, leg.begins), leg.what, where, lasting(trace, leg.lasting)))
        left = len(self.legs) - len(rows)
        head = Column(unit(trace), 14, right=True)
        return Grid(
            self._title(),
            (head, Column("what", 9), Column("where", 60), Column("lasting", 16, right=True)),
            rows,
            f"… {left:,} more" if left else "",
        )

    def _title(self) -> str:
        trace = self._trace
        ends = (name_of(trace, end) for end in (self.path[0], self.path[-1]))
        told = "answered" if self.answered else "no answer"
        what = f"{self.kind.capitalize()} {self.number}: {' → … → '.join(dict.fromkeys(ends))}"
        return (
            f"{what}, {many(len(self.hops), 'hop')}, {told}, {lasting(trace, self.latency.total)}"
        )

    def __repr__(self) -> str:
        return self._grid().text()

    def _repr_html_(self) -> str:
        return self._grid().html()


_COLUMNS = (
    Column("message", 9),
    Column("from", 14),
    Column("function", 16),
    Column("", 12, right=True),
    Column("total", 12, right=True),
    *(Column(name, 10, right=True) for name in Latency._fields),
    Column("ends", 26),
)


class Messages:
    """The messages of a trace, in order of first appearance.

    `messages["2"]`, `messages[2]` and `messages["1.1"]` are those of that number, and an id finds
    one as well. Iterating gives messages; requests are in `requests`, and are found by number too.
    Those of a part of a trace are the messages of the whole that appear in the part: a journey of
    which half was left out would tell nothing.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._codes: dict[str, int] = {}

    def _message(self, index: int) -> Message:
        return Message(self._trace.whole or self._trace, index)

    @property
    def _causes(self) -> Causes:
        return self._trace.causes

    @cached_property
    def _order(self) -> npt.NDArray[Any]:
        """All that appears, by index, in order of appearance."""
        first = self._causes.first
        there = np.flatnonzero(first >= 0)
        return there[np.argsort(first[there], kind="stable")]

    def _of_kind(self, *kinds: Kind) -> list[int]:
        order = self._order
        kind = self._trace.columns.kind[self._causes.first[order]]
        return order[np.isin(kind, [KINDS.index(k) for k in kinds])].tolist()  # type: ignore[no-any-return]

    @cached_property
    def _messages(self) -> list[int]:
        return self._of_kind("message")

    @property
    def requests(self) -> tuple[Message, ...]:
        """What was asked of caches and other bypass parts, in order of appearance."""
        return tuple(map(self._message, self._of_kind("request", "answer")))

    def made_of(self, index: int, kind: Kind) -> tuple[Message, ...]:
        """The messages or requests made of the one at this index into the ids of messages."""
        found = self._order[self._causes.made_of[self._order] == index]
        all_ = map(self._message, found.tolist())
        return tuple(one for one in all_ if one.kind == kind)

    @cached_property
    def of_hops(self) -> Positions:
        """What each hop is about, as an index into the ids of messages; 0 if it has no id."""
        return self._causes.about[self._trace.hops.begins]

    @cached_property
    def answers(self) -> Positions:
        """Where the answer to each message arrived, by its index; -1 if there is none."""
        causes, events = self._causes, self._trace.columns
        found: Positions = np.full(len(causes.first), -1, np.int32)
        hops = self._trace.hops
        taken = (hops.received >= 0) & (hops.dropped < 0)
        at = np.sort(hops.received[taken & (self.of_hops > 0)])
        asker, asks = self._askers()
        question = causes.about[at].copy()
        # First what has the question's own id, then what was made of it, of that, and so on.
        for _ in range(_GENERATIONS):
            hit = asks[question] & (asker[question] == events.actor[at])
            hit &= (at > causes.first[question]) & (found[question] < 0)
            found[question[hit][::-1]] = at[hit][::-1]
            own = events.kind[at] == _MESSAGE
            at, question = at[own], causes.made_of[question[own]]
            at, question = at[question > 0], question[question > 0]
            if not len(at):
                break
        return found

    def _askers(self) -> tuple[Positions, Flags]:
        """Who waits for the answer to each message, by its index; and whether anybody does."""
        causes, events = self._causes, self._trace.columns
        there = causes.first >= 0
        # From each message made of another one to the one that is made of none.
        up = np.where(there[causes.made_of], causes.made_of, 0)
        up[there & (events.kind[causes.first] != _MESSAGE)] = 0
        origin = np.where(up > 0, up, np.arange(len(up)))
        for _ in range(_DOUBLINGS):
            further = origin[origin]
            if (further == origin).all():
                break
            origin = further
        first = causes.first[origin]
        return events.actor[first], there & (first >= 0) & (events.what[first] == _SEND)

    @cached_property
    def ends(self) -> Positions:
        """Where each message ends, by its index: at its answer, else at its last event."""
        causes = self._causes
        last: Positions = np.full(len(causes.first), -1, np.int32)
        last[causes.about[causes.told]] = causes.told
        return np.where(self.answers >= 0, self.answers, last)

    @cached_property
    def latencies(self) -> npt.NDArray[np.int64]:
        """Queueing, holding, working and crossing as four rows, with a column for each message, by
        its index into the ids of messages."""
        return latencies(self._trace, self._causes.first, self.ends)

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return map(self._message, self._messages)

    def __getitem__(self, name: str | int) -> Message:
        """The message of this number or id.

        Raises:
            UnknownName: there is none. It is a KeyError.
        """
        id = message_id(self._trace, name)
        if not self._codes:
            self._codes = {id: n for n, id in enumerate(self._trace.columns.ids)}
        return self._message(self._codes[id])

    def __contains__(self, name: object) -> bool:
        if isinstance(name, Message):
            return name._trace is (self._trace.whole or self._trace) and name.id in self
        try:
            message_id(self._trace, name)
        except KeyError:
            return False
        return True

    @property
    def _grid(self) -> Grid:
        trace, all_ = self._trace.whole or self._trace, self._messages
        whole = trace.messages
        answered = np.count_nonzero(whole.answers[all_] >= 0) if all_ else 0
        requests = len(self._order) - len(all_)
        title = f"Messages: {len(all_):,}, of which {answered:,} answered"
        title += " as far as is known" if trace.forgotten or trace.cut else ""
        title += f"; {many(requests, 'request')} besides" if requests else ""
        if all_:
            at = trace.columns.at
            total = at[whole.ends[all_]] - at[trace.causes.first[all_]]
            slowest = self._message(all_[int(total.argmax())]).number
            title += f"; half within {lasting(trace, float(np.median(total)))}, the slowest, "
            title += f"{slowest}, within {lasting(trace, int(total.max()))}"
        rows = [_row(trace, self._message(index)) for index in all_[:ROWS]]
        left = len(all_) - len(rows)
        heads = [column if column.name else _time_of(trace, column) for column in _COLUMNS]
        return Grid(title, heads, rows, f"… {left:,} more" if left else "")

    def __repr__(self) -> str:
        return self._grid.text()

    def _repr_html_(self) -> str:
        return self._grid.html()


def _time_of(trace: Trace, column: Column) -> Column:
    return column._replace(name=unit(trace))


def _row(trace: Trace, message: Message) -> tuple[str, ...]:
    latency = message.latency
    ends = name_of(trace, message.path[-1])
    return (
        message.number,
        name_of(trace, message.path[0], 14),
        message.function,
        moment(trace, message.begins),
        *(moment(trace, time) for time in (latency.total, *latency)),
        f"answered to {ends}" if message.answered else f"{_gone(message)} {ends}",
    )


def _gone(message: Message) -> str:
    """What became of it: where it was lost on a link, who is last on its way has never had it."""
    last = message.way[-1]
    lost = [hop for hop in message.hops if hop.dropped == last and hop.received is None]
    events = message.trace.columns
    who = events.tables.actors[events.actor[last]]
    return "lost before" if any(hop.target == who for hop in lost) else "last seen at"
