"""Step: what is told of one hop, or of one fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pylm_lab.draw.scene import Link
from pylm_lab.draw.story.piles import Pile
from pylm_lab.hook import FaultKind, Kind

__all__ = ["HeldBack", "Step"]


class HeldBack(NamedTuple):
    """A message that a fault holds back: it is half-way, on this link, by this row."""

    number: str
    source: str
    target: str
    row: Link | None

    @property
    def link(self) -> Link:
        """The actors at its two ends."""
        return self.source, self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One hop, and the moment at which it is on its way; or what a fault does that is no loss.

    `index` counts steps and `hop` is the position in `Trace.hops`, both from 0; `at` is the time of
    the hop's first event. `message` is the message's id, `number` its short name (`3`, `1.2`,
    `r1`), both empty for frames without an id. `source` and `target` are actor ids; one is empty
    where the record does not tell it. `row` is the row of the routing table that decided, as
    `(source, target)`, and `row_number` its number (0: none). `lost`: nobody received it, and
    nobody will; `arrives`: somebody received it. `previous` is the index of the message's own step
    before, or of its parent's where it has none.

    `fault` is empty for a hop. Of a fault, `hop` is the hop that it acts on, None for one that acts
    on an actor, which is then the `target`; the message neither arrives nor is lost. `held_back`:
    on this hop a fault holds the message back, so that it first comes half-way.

    `status` says what each actor is doing, in words that fit into a part's box. `held` are the
    messages that each actor holds, `waiting` those that were sent to it and wait to be taken, in
    the order in which they will be, and `delayed` those that faults hold back half-way; the message
    of this step is in none of them. `counts` are those of
    the hops before this one: of messages over each link (`(source, "?")` where the receiver is
    unknown) and each row, and with `(actor, "")` of those that an actor received, or sent where it
    receives none. `adds` names the counts that this hop adds to, once it has arrived.
    """

    index: int
    hop: int | None
    at: int
    kind: Kind
    message: str
    number: str
    source: str
    target: str
    row: Link | None
    row_number: int
    lost: bool
    arrives: bool
    previous: int | None
    title: str
    sentence: str
    status: Mapping[str, str]
    held: Mapping[str, Pile]
    waiting: Mapping[str, Pile]
    counts: Mapping[Link, int]
    adds: tuple[Link, ...]
    delayed: tuple[HeldBack, ...] = ()
    held_back: bool = False
    fault: FaultKind | Literal[""] = ""

    @property
    def link(self) -> Link:
        """The actors at its two ends."""
        return self.source, self.target
