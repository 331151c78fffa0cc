"""What the router view says in words: title, subtitle and alt text.

Everything is read from the survey; a sentence whose fact is missing is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from pylm_lab.draw.metrics import clean
from pylm_lab.draw.router.survey import Part, Peer, Row, Survey
from pylm_lab.trace.show.gaps import ended, forgotten, left_out

__all__ = ["alt", "join", "subtitle", "title"]

_NUMBERS = [
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
#: Names that only say what somebody is.
_KINDS = (
    "client",
    "server",
    "master",
    "hub",
    "pipeline",
    "sink",
    "browser",
    "web client",
    "web worker",
)
#: Characters of a name that the alt text gives.
_NAME = 200


def number(n: int) -> str:
    """Small numbers in words, others in digits."""
    return _NUMBERS[n] if n < len(_NUMBERS) else f"{n:,}"


def many(n: int, noun: str) -> str:
    """`one worker`, `two workers`."""
    return f"{number(n)} {noun}{'' if n == 1 else 's'}"


def join(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def workers(found: Survey) -> list[Peer]:
    """Those who work on messages; not those who are only asked, as a web worker is."""
    given = {wire.peer for wire in found.wires if wire.flow != "both"}
    return [peer for peer in found.peers if peer.role == "worker" and peer.id in given]


def passed(found: Survey) -> tuple[int, int, int]:
    """Messages that came in, went out and are on their way.

    What workers get and give back is neither, unless there is nobody but workers.
    """
    own = {peer.id for peer in found.peers if peer.role == "worker"}
    if len(own) == len(found.peers):
        own = set()
    sides = {part.id: part.side for part in found.parts}
    # A bypass part that asks another is a way in; a cache is none.
    asks = {wire.part for wire in found.wires if wire.inner and wire.flow == "both"}
    came = went = 0
    for wire in found.wires:
        if (
            wire.peer in own
            or wire.inner
            or (sides[wire.part] == "bypass" and wire.part not in asks)
        ):
            continue
        if sides[wire.part] != "outbound":
            came += wire.count
            went += wire.answers
        else:
            went += wire.count - wire.lost - wire.waiting
    return came, went, found.waiting


def title(found: Survey) -> str:
    """What to look at."""
    if not (found.ran or found.forgotten or found.left_out):
        n = sum(part.side != "bypass" for part in found.parts)
        return f"{clean(found.name, 60)}: a router and {many(n, 'part')}"
    if not found.others or found.name == found.kind:
        what = f"the {found.kind}"
    else:
        what = clean(found.name, 60)
        if found.kind not in ("server", *re.findall("[a-z]+", what.lower())):
            what += f", a {found.kind}"
    crew = workers(found)
    tail = f", {many(len(crew), 'worker')}" if crew else ""
    much = _much(found) or many(passed(found)[0], "message")
    return f"Inside {what}: {much}{tail}"


def _much(found: Survey) -> str:
    """How much of a run it is, if it is not all of one."""
    if found.left_out:
        return "a part of a run"
    return "the end of a run" if found.forgotten else ""


def subtitle(found: Survey) -> str:
    """How much went through, what was lost where, and where to begin."""
    follow = _follow(found)
    if _much(found):
        kept = "The counts are of what was kept." if found.ran else "No message was kept."
        return f"{kept} {follow}".strip()
    if not found.ran:
        return f"The parts, what they bind, and the routing table. {follow}".strip()
    came, went, waiting = passed(found)
    counts = [f"{came:,} in", f"{went:,} out"]
    if waiting:
        counts.append(f"{waiting:,} {'not heard of again' if found.cut else 'on the way'}")
    if found.ended:
        counts.append(f"{sum(found.ended.values()):,} without a route")
    counts.append(_losses(found))
    return f"{', '.join(counts)}. {follow}".strip()


def _follow(found: Survey) -> str:
    """Where a reader's eye may go: along the rows, if each continues the one before."""
    rows = found.rows
    if len(rows) > 1 and len({(row.target, row.feedback == "on") for row in rows}) == 1:
        ends = {part.id: part.label for part in found.parts}
        to = "to" if len(rows) > 2 else "and"
        target = clean(ends.get(rows[0].target, rows[0].target), 40)
        return f"Rows 1 {to} {len(rows)} meet at {target}."
    if not rows or not all(_continues(found, a, b) for a, b in pairwise(rows)):
        return ""
    sides = {part.id: part.side for part in found.parts}
    back = any(
        wire.inner and (sides[wire.part], sides[wire.peer]) == ("outbound", "inbound")
        for wire in found.wires
    )
    end = "; the way back runs below the table." if back else "."
    if len(rows) < 3:
        return f"Follow 1, then 2{end}" if len(rows) == 2 else f"Follow 1{end}"
    return f"Follow the numbers, from 1 to {len(rows)}{end}"


def _continues(found: Survey, a: Row, b: Row) -> bool:
    """Whether what leaves by one row comes back by the other."""
    if b.feedback == "on":
        return b.source == a.target
    if not found.ran and found.kind != "server":
        return len(found.rows) == 2  # what such a server is for
    fed = {wire.peer for wire in found.wires if wire.part == a.target}
    return any(wire.peer in fed for wire in found.wires if wire.part == b.source)


def _losses(found: Survey) -> str:
    where = losses(found)
    if not where:
        return "no loss in the record" if found.cut else "nothing lost"
    if len(where) == 1:
        return f"{found.lost:,} lost between {where[0]}"
    return f"{found.lost:,} lost in {number(len(where))} places"


def losses(found: Survey) -> list[str]:
    """Where messages were lost: `WorkerPush and worker1`, in the order in which they were."""
    labels = {part.id: part.label for part in found.parts} | {found.router: "the router"}
    labels |= {peer.id: peer.label for peer in found.peers}
    places = []
    for a, b in found.losses:
        start = clean(labels.get(a, a), 40)
        end = clean(labels.get(b, b), 40) if b else _audience(found, a)
        places.append(f"{start} and {end}")
    return places


def _audience(found: Survey, part: str) -> str:
    """Who could have received what the part sent."""
    reached = {wire.peer for wire in found.wires if wire.part == part}
    roles = [peer.role for peer in found.peers if peer.id in reached]
    if not roles:
        return "nobody"
    return f"the {roles[0]}s" if len(set(roles)) == 1 else "its peers"


def alt(found: Survey) -> str:
    """The picture for those who don't see it."""
    sentences = [_parts(found), _routes(found), _bypass(found), _run(found)]
    if found.early:
        sentences.append(ended(found.early, 24))
    return " ".join(filter(None, sentences))


def _name(part: Part | Peer) -> str:
    return clean(part.label, _NAME)


def _parts(found: Survey) -> str:
    alone = found.kind in ("server", "microservice")
    head = found.kind.capitalize() if alone else f"{found.kind.capitalize()} server"
    if found.name not in ("server", found.kind) or (found.others and found.kind == "microservice"):
        head += f" {clean(found.name, _NAME)}"
    sides = []
    for side in ("inbound", "outbound"):
        parts = found.side(side)
        if parts:
            noun = f"{side} part{'' if len(parts) == 1 else 's'}"
            sides.append(f"{noun} {join([_name(part) for part in parts])}")
    what = ", ".join(sides)
    return f"{head}: {what}, around a router." if what else f"{head}: a router without parts."


def _routes(found: Survey) -> str:
    labels = {part.id: _name(part) for part in found.parts}
    clauses = []
    for n, row in enumerate(found.rows):
        source, target = labels.get(row.source, row.source), labels.get(row.target, row.target)
        if row.feedback == "on":
            clauses.append(f"the feedback of {source} goes on to {target}")
        elif row.feedback == "waits":
            verb = "routes to" if n == 0 else "to"
            clauses.append(f"{source} {verb} {target} and waits for its feedback")
        else:
            clauses.append(f"{source} {'routes to' if n == 0 else 'to'} {target}")
    routed = {row.source for row in found.rows}
    ends = [labels[part.id] for part in found.side("inbound") if part.id not in routed]
    text = ", ".join(clauses)
    # A name stays as it is, also where it begins a sentence.
    out = f"{text[0].upper()}{text[1:]}." if text.startswith("the feedback of ") else f"{text}."
    out = out if text else ""
    if ends:
        verb = "has" if len(ends) == 1 else "have"
        out += f" {join(ends)} {verb} no route."
    return out.strip()


def _bypass(found: Survey) -> str:
    parts = found.side("bypass")
    if not parts:
        return ""
    if len(parts) == 1:
        only = parts[0]
        name = "The cache" if only.kind == "CacheService" else _name(only)
        return f"{name} is bypass."
    return f"{join([_name(part) for part in parts])} are bypass."


def _run(found: Survey) -> str:
    told = [forgotten(found.forgotten)] * bool(found.forgotten)
    told += [left_out(found.left_out)] * bool(found.left_out)
    if told:
        much = _much(found)
        return f"{much[:1].upper()}{much[1:]}: {' '.join(told)}"
    if not found.ran:
        return ""
    came, went, waiting = passed(found)
    crew = workers(found)
    shares = join([f"{_name(peer)} ({peer.count:,})" for peer in crew[:24]])
    if len(crew) > 24:
        shares += f" and {len(crew) - 24} more"
    sources = [peer for peer in found.peers if peer.role != "worker" and _feeds(found, peer)]
    origin = f" from {_these(sources)}" if sources else ""
    noun = "message" if came == 1 else "messages"
    lost = found.lost
    where = losses(found)
    if not lost:
        fate = "the record has no loss" if found.cut else "none was lost"
    else:
        verb = "was" if lost == 1 else "were"
        fate = f"{lost:,} {verb} lost" + (f" between {'; '.join(where)}" if where else "")
    if waiting:
        one = waiting == 1
        if found.cut:
            fate = f"{waiting:,} {'was' if one else 'were'} not heard of again, {fate}"
        else:
            fate = f"{waiting:,} {'is' if one else 'are'} still on the way, {fate}"
    ends = [peer for peer in found.peers if peer.role != "worker" and _fed(found, peer)]
    on = "" if ends == sources or not ends else _these(ends, counted=len(ends) > 1)
    if crew and came:
        back = "and back" if went == came and not lost and not waiting else f"and {went:,} back"
        if on:
            back = f"and {went:,} from there to {on}"
        text = f"In this run {came:,} {noun} went{origin} to {shares} {back}; {fate}."
    else:
        out = f" to {on}" if on else ""
        text = f"In this run {came:,} {noun} came in{origin} and {went:,} went out{out}; {fate}."
    return " ".join([text, *_asked(found)])


def _called(peer: Peer) -> str:
    """Its name, with an article if it is named after what it is."""
    return f"the {peer.label}" if peer.label in _KINDS else _name(peer)


def _all_called(peers: Sequence[Peer]) -> list[str]:
    """The names of several: all with an article, or none."""
    called = [_called(peer) for peer in peers]
    return called if all(name.startswith("the ") for name in called) else [*map(_name, peers)]


def _these(peers: Sequence[Peer], *, counted: bool = False) -> str:
    """`the client`, `even (3) and odd (4)`."""
    counts = [f" ({peer.count:,})" if counted else "" for peer in peers]
    shown = [name + n for name, n in zip(_all_called(peers), counts, strict=True)][:24]
    return join(shown) + (f" and {len(peers) - 24} more" if len(peers) > 24 else "")


def _asked(found: Survey) -> list[str]:
    """Who was asked by outbound parts, and how often."""
    told = []
    for part in found.side("outbound"):
        for wire in found.wires:
            if wire.part == part.id and wire.flow == "both" and not wire.inner and not wire.asked:
                whom = next(_called(peer) for peer in found.peers if peer.id == wire.peer)
                times = "once" if wire.count == 1 else f"{wire.count:,} times"
                told.append(f"{_name(part)} asked {whom} {times}.")
    return told[:24]


def _ways_in(found: Survey) -> set[str]:
    """The parts by which messages come in: a bypass part that asks another is one, a cache not."""
    asks = {wire.part for wire in found.wires if wire.inner and wire.flow == "both"}
    return {part.id for part in found.parts if part.side == "inbound" or part.id in asks}


def _feeds(found: Survey, peer: Peer) -> bool:
    ways = _ways_in(found)
    return any(w.peer == peer.id and w.part in ways and not w.inner for w in found.wires)


def _fed(found: Survey, peer: Peer) -> bool:
    """Whether it is given what the server sends, or is answered where it asks."""
    outbound, ways = {part.id for part in found.side("outbound")}, _ways_in(found)
    return any(
        (wire.part in outbound and wire.flow == "out") or (wire.part in ways and wire.asked)
        for wire in found.wires
        if wire.peer == peer.id and not wire.inner
    )
