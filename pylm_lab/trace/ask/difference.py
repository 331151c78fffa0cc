"""Difference: how two traces differ, in words.

1. Actors are compared by id, messages by number: in free runs their ids are never the same.
2. Controlled runs are compared event by event. In free ones the order between actors means nothing,
   so there each actor's own events are compared; and times never are.
3. First comes the first event in which they differ; then what differs on the whole, from who took
   part to what was answered. *Here* is the trace that was asked, *there* the other one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.ask.divergence import Codes, parting
from pylm_lab.trace.columns import Events
from pylm_lab.trace.records import Link
from pylm_lab.trace.rules.check import Count
from pylm_lab.trace.rules.words import NAMED
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.show.gaps import gaps
from pylm_lab.trace.show.grid import ROWS, Grid, many, name_of

if TYPE_CHECKING:
    from pylm_lab.trace.ask.messages import Message
    from pylm_lab.trace.trace import Trace

__all__ = ["Difference", "difference"]

_Wide = npt.NDArray[np.int64]


class Difference:
    """How two traces differ; false if they don't.

    `first` says in a sentence where they part (empty: nowhere), `at` is the position of the event
    in this trace (its number of events, if it ends there; None: nowhere), and `differences` are
    sentences about what differs on the whole.
    """

    def __init__(self, first: str, at: int | None, differences: tuple[str, ...]) -> None:
        self.first = first
        self.at = at
        self.differences = differences

    def __bool__(self) -> bool:
        return bool(self.first or self.differences)

    def __iter__(self) -> Iterator[str]:
        return iter((self.first, *self.differences) if self.first else self.differences)

    def __len__(self) -> int:
        return len(tuple(iter(self)))

    def _sentences(self) -> list[str]:
        shown = list(self)
        left = len(shown) - ROWS
        return [*shown[:ROWS], f"… {left:,} more"] if left > 0 else shown

    def __repr__(self) -> str:
        return "\n".join(self._sentences()) or "No difference."

    def _repr_html_(self) -> str:
        return "\n".join(Grid(line, (), ()).html() for line in self._sentences() or [repr(self)])


def difference(here: Trace, there: Trace) -> Difference:
    """How `there` differs from `here`.

    Raises:
        TypeError: it is no trace.
    """
    if not isinstance(there, type(here)):
        raise TypeError(f"a trace can be compared with a trace, not with {there!r:.80}")
    first, at = parting(here, there)
    sides = (here, there)
    told = [
        *_gaps(*sides),
        *_actors(*sides),
        *_wiring(*sides),
        *_counts(*sides),
        *_messages(*sides),
    ]
    return Difference(first, at, tuple(told))


# What differs on the whole


def _gaps(here: Trace, there: Trace) -> Iterator[str]:
    """What only one of the records does not tell: that may be all that differs."""
    ours, theirs = gaps(here), gaps(there)
    for place, own, other in (("Here", ours, theirs), ("There", theirs, ours)):
        yield from (f"{place}: {sentence}" for sentence in own if sentence not in other)


def _only(what: str, here: Iterable[str], there: Iterable[str]) -> Iterator[str]:
    """What is in one of them only."""
    ours, theirs = dict.fromkeys(here), dict.fromkeys(there)
    for place, own, other in (("here", ours, theirs), ("there", theirs, ours)):
        only = [one for one in own if one not in other]
        if only:
            yield f"Only {place}: {what if len(only) == 1 else what + 's'} {_listed(only)}."


def _listed(names: Sequence[str]) -> str:
    """Some of them by name, of the rest how many."""
    shown = [excerpt(name, 60, middle=True) for name in names[:NAMED]]
    if len(names) > NAMED:
        return f"{', '.join(shown)} and {len(names) - NAMED:,} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _actors(here: Trace, there: Trace) -> Iterator[str]:
    yield from _only("actor", (a.id for a in here.actors), (a.id for a in there.actors))
    known = {actor.id: actor for actor in there.actors}
    for one in here.actors:
        other = known.get(one.id)
        if other and (one.role, one.kind) != (other.role, other.kind):
            was = f"{excerpt(one.kind)} ({one.role}) here, {excerpt(other.kind)} ({other.role})"
            yield f"{excerpt(one.id)} is {was} there."


def _wiring(here: Trace, there: Trace) -> Iterator[str]:
    sides = [
        [f"{wire.source.id} → {wire.target.id}" for wire in trace.declared.wires()]
        for trace in (here, there)
    ]
    yield from _only("wire", *sides)
    sides = [[f"{row.source} → {row.target}" for row in trace.routes] for trace in (here, there)]
    yield from _only("route", *sides)


def _counts(here: Trace, there: Trace) -> Iterator[str]:
    ours, theirs = here.links, there.links
    for link in dict.fromkeys((*ours, *theirs)):
        own, other = (side[link].count if link in side else Count() for side in (ours, theirs))
        if own != other:
            name = _link(here if link in ours else there, link)
            yield f"{name}: {_counted(own)} here, {_counted(other)} there."


def _counted(count: Count) -> str:
    told = [f"{count.sent:,} sent"]
    if count.received != count.sent:
        told.append(f"{count.received:,} received")
    told += [f"{count.in_flight:,} in flight"] * bool(count.in_flight)
    told += [f"{count.dropped:,} dropped"] * bool(count.dropped)
    return _listed(told)


def _link(trace: Trace, link: Link) -> str:
    return " → ".join(name_of(trace, end, 40) for end in link)


def _messages(here: Trace, there: Trace) -> Iterator[str]:
    names = [[*trace.ids_by_number] for trace in (here, there)]
    yield from _only("message", *(filter(_is_message, side) for side in names))
    yield from _only("request", *([n for n in side if not _is_message(n)] for side in names))
    common = [n for n in names[0] if n in there.ids_by_number]
    yield from _ways(here, there, common)
    yield from _answers(here, there, [n for n in common if _is_message(n)])


def _is_message(number: str) -> bool:
    return not number.startswith("r")


#: Messages that are looked at one by one, to say how they differ.
_LOOKED_AT = 200


def _ways(here: Trace, there: Trace, common: list[str]) -> Iterator[str]:
    """Messages that went another way."""
    codes = {number: n for n, number in enumerate(common)}
    link = Codes()
    rows = [_crossed(trace, codes, link) for trace in (here, there)]
    counted = [np.unique(side, return_counts=True) for side in rows]
    most = max((int(count.max(initial=0)) for _, count in counted), default=0) + 1
    ours, theirs = (key * most + count for key, count in counted)
    differ = np.unique(np.setxor1d(ours, theirs) // most >> 32).tolist()
    found: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for n in differ[:_LOOKED_AT]:
        number = common[n]
        way = _way(here.messages[number], there.messages[number])
        found[way, _is_message(number)].append(number)
    for (words, _), numbers in found.items():
        yield f"{_called(numbers)} went {words}."
    if len(differ) > _LOOKED_AT:
        yield f"{many(len(differ) - _LOOKED_AT, 'more message')} took another way."


def _crossed(trace: Trace, codes: dict[str, int], link: Codes) -> _Wide:
    """For each hop of a message that both have: the message, and from where to where and how."""
    hops, ids, names = trace.hops, trace.columns.ids, [*trace.columns.tables.actors, ""]
    by_id = np.array([codes.get(trace.numbers.get(id, ""), -1) for id in ids], np.int64)
    message = by_id[trace.messages.of_hops]
    chosen = message >= 0
    fate = np.where(hops.received >= 0, 0, np.where(hops.dropped >= 0, 1, 2))
    ends = (hops.source.astype(np.int64) + 1) * (len(names) + 1) + hops.target + 1
    key = (ends * 3 + fate)[chosen]
    each, place = np.unique(key, return_inverse=True)
    told = link(
        (names[k // 3 // (len(names) + 1) - 1], names[k // 3 % (len(names) + 1) - 1], k % 3)
        for k in each.tolist()
    )
    return (message[chosen] << 32) + told[place] if len(each) else np.zeros(0, np.int64)


def _way(here: Message, there: Message) -> str:
    """In which way it went otherwise."""
    ours, theirs = here.path, there.path
    only = [
        [one for one in dict.fromkeys(path) if one not in other]
        for path, other in ((ours, theirs), (theirs, ours))
    ]
    if all(only):
        return f"by {_listed(only[0])} here, by {_listed(only[1])} there"
    if ours != theirs:
        ways = [excerpt(" → ".join(path), 200, middle=True) for path in (ours, theirs)]
        return f"{ways[0]} here, {ways[1]} there"
    hops = (f"in {many(len(one.hops), 'hop')}" for one in (here, there))
    lost = (_lost(one) for one in (here, there))
    told = [f"{way}{fate}" for way, fate in zip(hops, lost, strict=True)]
    return f"{told[0]} here, {told[1]} there"


def _lost(message: Message) -> str:
    """How many of its hops did not arrive."""
    lost = sum(hop.received is None for hop in message.hops)
    return f" of which {lost:,} did not arrive" if lost else ""


def _called(numbers: Sequence[str]) -> str:
    word = "Message" if _is_message(numbers[0]) else "Request"
    return f"{word if len(numbers) == 1 else word + 's'} {_listed(numbers)}"


def _answers(here: Trace, there: Trace, common: list[str]) -> Iterator[str]:
    """Messages that were answered in one only, or otherwise, or that asked for something else."""
    sides = []
    for trace in (here, there):
        events = trace.columns
        codes = {id: n for n, id in enumerate(events.ids)}
        index = np.array([codes[trace.ids_by_number[number]] for number in common], np.int64)
        first = trace.causes.first[index] if len(index) else index
        sides.append((events, first, trace.messages.answers[index] if len(index) else index))
    (ours, begun, own), (theirs, started, other) = sides
    for place, mask in (("here", (own >= 0) & (other < 0)), ("there", (own < 0) & (other >= 0))):
        numbers = [common[n] for n in np.flatnonzero(mask).tolist()]
        if numbers:
            was = "was" if len(numbers) == 1 else "were"
            yield f"{_called(numbers)} {was} answered only {place}."
    both = np.flatnonzero((own >= 0) & (other >= 0))
    for what, one, two, field in (
        ("asked for", begun, started, "function"),
        ("asked with", begun, started, "excerpt"),
        ("was answered with", own[both], other[both], "excerpt"),
    ):
        numbers = common if one is begun else [common[n] for n in both.tolist()]
        told = [_texts(side, at, field) for side, at in ((ours, one), (theirs, two))]
        found: dict[str, list[str]] = defaultdict(list)
        for number, a, b in zip(numbers, *told, strict=True):
            if a != b:
                found[f"{excerpt(a)!r} here, {excerpt(b)!r} there"].append(number)
        if len(found) == 1 or sum(map(len, found.values())) <= NAMED:
            for words, differ in found.items():
                yield f"{_called(differ)} {_plural(what, differ)} {words}."
        elif found:
            differ = [number for group in found.values() for number in group]
            words = next(iter(found))
            yield (
                f"{many(len(differ), 'message')} {_plural(what, differ)} something else; the first"
                f" of them, {differ[0]}, {what} {words}."
            )


def _plural(what: str, numbers: Sequence[str]) -> str:
    return what if len(numbers) == 1 else what.replace("was ", "were ")


def _texts(events: Events, at: npt.NDArray[Any], field: str) -> list[str]:
    if not len(at) or not len(events.contents.size):
        return [""] * len(at)
    content = events.content[at]
    rows = getattr(events.contents, field)[content]
    return [
        events.texts[row] if c >= 0 else ""
        for row, c in zip(rows.tolist(), content.tolist(), strict=True)
    ]
