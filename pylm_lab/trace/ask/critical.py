"""Critical path: what the answer to a message waited for, back to the message itself.

1. It is read backwards from the arrival of the answer. Of all that had to happen before an event,
   the one that happened last is what it waited for.
2. What an actor sends waits for what the actor did before. What it receives waits for the send, or,
   if it was busy when that was sent, for the last thing that it did before.
3. So the path may lead through other messages, acknowledgements and requests, if that is what was
   waited for. It ends where the message begins, and the times along it add up to exactly the time
   that the message took.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, overload

from pylm_lab.trace.ask.messages import Message
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.show.grid import ROWS, Column, Grid, lasting, many, moment, name_of, unit
from pylm_lab.trace.tables import KINDS, code

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["CriticalPath", "Wait"]


class Wait(NamedTuple):
    """One piece of a critical path, between two events at the positions `since` and `until`.

    `what` is *crossing*: on the way from `source` to `actor`; *working*: the actor did what ends
    with it sending or giving something up; *queueing*: it lay before the actor, who had done
    something else. `messages` are the numbers of what it was about, empty if that has none, and
    `kind` what that was. What an actor did to several others in a row is one piece. `begins` and
    `ends` are times.
    """

    what: Literal["crossing", "working", "queueing"]
    actor: str
    begins: int
    ends: int
    since: int
    until: int
    messages: tuple[str, ...]
    kind: str
    source: str = ""
    unseen: bool = False

    @property
    def lasting(self) -> int:
        """How long it took."""
        return self.ends - self.begins


_COLUMNS = (
    Column("what", 9),
    Column("of", 34),
    Column("where", 50),
    Column("lasting", 16, right=True),
    Column("", 5, right=True),
)


class CriticalPath(Sequence[Wait]):
    """What the answer to a message waited for: pieces in order of time, without gaps.

    `message` is the message, `total` the time that it took, `slowest` the longest piece (None if
    all took no time), `sentence` names it.
    """

    def __init__(self, message: Message, pieces: tuple[Wait, ...]) -> None:
        self.message = message
        self._trace = message.trace
        self._pieces = pieces

    @property
    def total(self) -> int:
        """The sum of all pieces: as long as the message took."""
        return sum(piece.lasting for piece in self._pieces)

    @property
    def slowest(self) -> Wait | None:
        """The longest piece, the first of several; None if all took no time."""
        return max(self._pieces, key=lambda piece: piece.lasting, default=None)

    @property
    def sentence(self) -> str:
        """The slowest piece, in words."""
        slowest, trace = self.slowest, self._trace
        if slowest is None:
            thing = _thing(self.message.kind, [self.message.number])
            if trace.forgotten or trace.left_out:
                return f"What the record tells of {thing[0].lower()}{thing[1:]} took no time."
            return f"{thing} took no time."
        thing, actor = _thing(slowest.kind, slowest.messages), name_of(trace, slowest.actor, 40)
        time = lasting(trace, slowest.lasting)
        if slowest.what == "crossing":
            said = f"{thing} was on its way from {name_of(trace, slowest.source, 40)} to {actor}"
            said += ", with somebody who was not recorded," * slowest.unseen + f" for {time}"
        elif slowest.what == "queueing":
            said = f"{thing} lay before {actor} for {time}, after it had done something else"
        else:
            said = f"{actor} worked on {thing[0].lower()}{thing[1:]} for {time}"
        return f"Slowest: {said}; of {lasting(trace, self.total)} in all."

    @overload
    def __getitem__(self, n: int) -> Wait: ...
    @overload
    def __getitem__(self, n: slice) -> Sequence[Wait]: ...
    def __getitem__(self, n: int | slice) -> Wait | Sequence[Wait]:
        return self._pieces[n]

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[Wait]:
        return iter(self._pieces)

    def _grid(self) -> Grid:
        trace, total = self._trace, self.total
        rows = []
        for piece in self._pieces[:ROWS]:
            known = (piece.source, piece.actor) if piece.source else (piece.actor,)
            where = " → ".join(name_of(trace, end, 20) for end in known)
            share = f"{piece.lasting / total:.0%}" if total else ""
            thing = _thing(piece.kind, piece.messages).lower().removeprefix("an ")
            cells = (piece.what, thing, where, lasting(trace, piece.lasting), share)
            rows.append((moment(trace, piece.begins), *cells))
        left = len(self) - len(rows)
        kind, number = self.message.kind, self.message.number
        title = f"Critical path of {kind} {number}: {many(len(self), 'piece')}. {self.sentence}"
        heads = (Column(unit(trace), 14, right=True), *_COLUMNS)
        return Grid(excerpt(title, 200), heads, rows, f"… {left:,} more" if left else "")

    def __repr__(self) -> str:
        return self._grid().text()

    def _repr_html_(self) -> str:
        return self._grid().html()


#: Numbers that a piece is told with; of more it is told how many.
_NAMED = 3
#: What a piece is about that has no number.
_NAMELESS = {"credit": "An acknowledgement", "ready": "An echo", "answer": "An answer"}


def _thing(kind: str, numbers: Sequence[str]) -> str:
    if len(numbers) > _NAMED:
        return f"Messages {', '.join(numbers[:_NAMED])} and {len(numbers) - _NAMED:,} more"
    if len(numbers) > 1:
        return f"Messages {', '.join(numbers[:-1])} and {numbers[-1]}"
    if kind == "answer" and numbers:
        return f"The answer to request {numbers[0]}"
    return f"{kind.capitalize()} {numbers[0]}" if numbers else _NAMELESS.get(kind, f"A {kind}")


def critical_path(message: Message) -> CriticalPath:
    """What the answer to this message waited for."""
    trace = message.trace
    first, end = message.way[0], message.way[-1]
    pieces: list[Wait] = []
    at = trace.columns.at
    begins = at.item(first)
    until = end
    while until != first:
        since, crossed, unseen = _waited_for(trace, until)
        piece = _piece(trace, since, until, crossed=crossed, unseen=unseen)
        if since < first:
            # What was before the message began is not its time.
            since, piece = first, piece._replace(since=first, begins=begins)
        if piece.lasting:
            pieces.append(piece)
        until = since
    assert sum(piece.lasting for piece in pieces) == at.item(end) - begins
    return CriticalPath(message, tuple(_joined(message, reversed(pieces))))


def _waited_for(trace: Trace, event: int) -> tuple[int, bool, bool]:
    """What an event waited for, -1 if for nothing; if it crossed a link; if that was not seen."""
    causes, events = trace.causes, trace.columns
    cause, own = causes.cause.item(event), causes.before.item(event)
    if bool(causes.unseen[event]):
        return cause, True, True
    if cause < 0 or events.actor[cause] == events.actor[event]:
        return own, False, False
    while own >= 0 and events.at[own] == events.at[event]:
        own = causes.before.item(own)
    return (own, False, False) if own > cause else (cause, True, False)


def _piece(trace: Trace, since: int, until: int, *, crossed: bool, unseen: bool) -> Wait:
    events, causes = trace.columns, trace.causes
    names, at = events.tables.actors, events.at
    comes = events.what[until] == code("receive")
    number = trace.numbers.get(events.ids[causes.about[until]], "")
    return Wait(
        "crossing" if crossed else "queueing" if comes else "working",
        names[events.actor[until]],
        at.item(since),
        at.item(until),
        since,
        until,
        (number,) if number else (),
        KINDS[events.kind[until]],
        names[events.actor[since]] if crossed else "",
        unseen,
    )


def _joined(message: Message, pieces: Iterator[Wait]) -> Iterator[Wait]:
    """Neighbours that tell the same are one, and so is what an actor did to others in a row."""
    own = (message.number,)
    last: Wait | None = None
    for piece in pieces:
        if last and "crossing" not in (last.what, piece.what) and last.actor == piece.actor:
            if own not in (last.messages, piece.messages):
                numbers = tuple(dict.fromkeys((*last.messages, *piece.messages)))
                what = last.what if last.what == piece.what else "working"
                kind = piece.kind if numbers == piece.messages else last.kind
                kind = "message" if len(numbers) > 1 else kind
                last = last._replace(
                    what=what, ends=piece.ends, until=piece.until, messages=numbers, kind=kind
                )
                continue
            if (last.what, last.messages) == (piece.what, piece.messages):
                last = last._replace(ends=piece.ends, until=piece.until)
                continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last
