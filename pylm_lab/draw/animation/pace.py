"""Pace: when each step of a story is seen in a film.

1. The film is as true as the record: a message sets out only after every message that had arrived
   by then, in the record, has arrived in the film. What was on its way at the same time moves at
   the same time.
2. One message is followed at leisure and told in sentences; the others then go faster, all together
   under one sentence.
3. It has a length: steps go faster to fit, and what does not fit is left out, and said.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pylm_lab.draw.story import Step
from pylm_lab.trace import Trace

__all__ = ["Film", "Move", "pace"]

#: Seconds: the film at the most, before the first step, after the last one.
LONGEST, LEAD_IN, REST = 20.0, 0.8, 2.4
#: Seconds that the message that is followed takes for a hop, and then pauses at the least.
_STROLL, _PAUSE = 0.75, 0.3
#: Seconds that the last message is seen where it arrived.
_LINGER = 0.3
#: Characters of a sentence that are read in a second.
_READ = 45
#: Seconds for a hop of the others, and between two that set out together: at first, at the least.
_WALK, _RUN = (0.6, 0.12), (0.1, 0.02)


class Move(NamedTuple):
    """A step in the film: it sets out at `begin` and arrives at `end`, in seconds."""

    step: Step
    begin: float
    end: float
    followed: bool


class Film(NamedTuple):
    """When what is seen: the last message has arrived and been seen at the second `over`.

    `captions` are (from which second, text); `left_out` counts steps.
    """

    moves: tuple[Move, ...]
    captions: tuple[tuple[float, str], ...]
    over: float
    seconds: float
    left_out: int


def pace(trace: Trace, steps: Sequence[Step], *, closing: str, most: int | None = None) -> Film:
    """The film of these steps, which ends with the caption `closing`. `most` limits the steps."""
    # However fast they go, no more than these can set out in time.
    fit = int(LONGEST / _RUN[1])
    shown = list(steps[: fit if most is None else min(fit, most)])
    for share in (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0):
        moves = _moves(trace, shown, share)
        if _end(moves) + REST <= LONGEST:
            break
    else:
        # What arrives too late is left out, from the first step that does.
        late = next((n for n, m in enumerate(moves) if m.end + REST > LONGEST), len(moves))
        moves = moves[: max(1, late)]
    left_out = len(steps) - len(moves)
    return Film(
        moves=tuple(moves),
        captions=tuple(_captions(trace, moves, closing, len(steps), left_out)),
        over=_end(moves) + _LINGER,
        seconds=_end(moves) + REST,
        left_out=left_out,
    )


def _end(moves: Sequence[Move]) -> float:
    return max((move.end for move in moves), default=LEAD_IN)


def _moves(trace: Trace, steps: Sequence[Step], share: float) -> list[Move]:
    """Each step's move; `share` is 1 for others that walk, 0 for others that run."""
    walk, gap = (low + (high - low) * share for high, low in zip(_WALK, _RUN, strict=True))
    followed = _followed(steps)
    # A long way is told in as much time as a short one.
    haste = min(1.0, 10 / max(1, len(followed)))
    stroll = _STROLL * haste
    turns: list[tuple[int, int, int]] = []
    for n, step in enumerate(steps):
        assert step.hop is not None, "a film is told without steps for faults"
        hop = trace.hops[step.hop]
        turns.append((hop.begins, 0, n))
        if hop.received is not None:
            turns.append((hop.received, 1, n))
    begins, ends = [0.0] * len(steps), [0.0] * len(steps)
    clock, last, free = LEAD_IN, LEAD_IN - gap, LEAD_IN
    for _, arrives, n in sorted(turns):
        if arrives:
            clock = max(clock, ends[n])
            continue
        leads = n in followed
        begins[n] = max(clock, last + gap, free if leads else 0.0)
        ends[n] = begins[n] + (stroll if leads else walk)
        last = begins[n]
        if leads:
            free = max(ends[n] + _PAUSE, begins[n] + len(steps[n].sentence) / _READ * haste)
    return [Move(step, begins[n], ends[n], n in followed) for n, step in enumerate(steps)]


def _followed(steps: Sequence[Step]) -> frozenset[int]:
    """The steps of the first message, and of the first that is made of it, and so on."""
    found: set[int] = set()
    current = steps[0].message if steps else ""
    for n, step in enumerate(steps):
        if step.message == current:
            found.add(n)
        elif step.previous in found and steps[step.previous].message == current:
            current = step.message
            found.add(n)
    return frozenset(found)


def _captions(
    trace: Trace, moves: Sequence[Move], closing: str, steps: int, left_out: int
) -> list[tuple[float, str]]:
    captions = [(move.begin, move.step.sentence) for move in moves if move.followed]
    told = max((move.end for move in moves if move.followed), default=0.0) + _PAUSE
    others = [move for move in moves if not move.followed and move.begin >= told]
    if others:
        roles = {actor.id: actor.role for actor in trace.actors}
        captions.append((told, _others(moves, roles)))
    if left_out:
        closing = f"{closing} Shown: the first {len(moves):,} of {steps:,} steps."
    captions.append((_end(moves) + _LINGER, closing))
    return captions


def _others(moves: Sequence[Move], roles: Mapping[str, str]) -> str:
    """What the messages do that are not followed."""
    ways: dict[str, list[tuple[str, int]]] = {}
    followed: list[tuple[str, int]] = []
    for move in moves:
        way = _kind_of_way(move.step, roles)
        if move.followed:
            followed.append(way)
        else:
            ways.setdefault(move.step.number, []).append(way)
    alike = all(way == followed for way in ways.values())
    alike = alike and not any(move.step.lost for move in moves)
    crossing = any(b.begin < a.end for a, b in itertools.pairwise(moves))
    pace = ", several at a time" if crossing else ", one by one"
    if not alike or len(ways) < 2:
        return f"The others follow{pace}."
    first, *_, last = ways
    return f"Messages {first} to {last} go the same way{pace}."


def _kind_of_way(step: Step, roles: Mapping[str, str]) -> tuple[str, int]:
    """A hop without saying which worker: what is alike for all messages."""
    worker = roles.get(step.source) == "worker"
    return "a worker" if worker else step.source, step.row_number
