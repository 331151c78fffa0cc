"""The routing table: the one that the router executes and that the diagram reads.

What can't work in it is found before anything runs.
"""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterator
from typing import Any

from pylm_lab import hook
from pylm_lab.errors import WiringError

__all__ = ["Entry", "Table"]


class Entry:
    """A part as the router knows it.

    `target` is the outbound part that its messages, or its feedback, go to (None: nowhere).
    `blocks`, of an inbound part: it is answered with the feedback; of an outbound part: it answers
    only when its pair has.
    """

    __slots__ = (
        "blocks",
        "credit",
        "held",
        "identity",
        "inbound",
        "log",
        "name",
        "owed",
        "quantum",
        "route",
        "target",
    )

    def __init__(self, name: str, route: str, log: str, *, inbound: bool, blocks: bool) -> None:
        self.name = name
        self.identity = name.encode()
        self.route = route
        self.log = log
        self.inbound = inbound
        self.blocks = blocks
        self.target: Entry | None = None
        #: Of an outbound part: whose messages, and how many in a row, it owes feedback for.
        self.owed: deque[list[Any]] = deque()
        #: Of an outbound part that holds: what waits for its feedback.
        self.held: deque[tuple[Entry | None, bytes]] = deque()
        #: Of an inbound part: messages done, and not yet acknowledged.
        self.credit = 0
        #: How many acknowledgements travel as one.
        self.quantum = 1


class Table:
    """The parts that are registered at a router, and the rows between them."""

    def __init__(self) -> None:
        self.inbound: dict[bytes, Entry] = {}
        self.outbound: dict[bytes, Entry] = {}

    def register(self, name: str, route: str, log: str, *, inbound: bool, blocks: bool) -> Entry:
        """Add a part.

        Raises:
            WiringError: there is one of this name already, or the name can't be a routing id.
        """
        side = "an inbound" if inbound else "an outbound"
        if not isinstance(name, str) or not 0 < len(name.encode()) < 256 or name[0] == "\0":
            raise WiringError(
                f"{side} part can't be called {name!r}: a name has 1 to 255 bytes of UTF-8, since "
                "it is the part's routing id"
            )
        entry = Entry(name, route, log, inbound=inbound, blocks=blocks)
        if entry.identity in self.inbound or entry.identity in self.outbound:
            raise WiringError(
                f"two parts are called {name!r}: give {side} part that you add another name"
            )
        (self.inbound if inbound else self.outbound)[entry.identity] = entry
        return entry

    def check(self) -> None:
        """Resolve every route.

        Raises:
            WiringError: a route names no outbound part. The text names the nearest one.
        """
        names = {entry.name: entry for entry in self.outbound.values()}
        for entry in self.entries():
            entry.target = names.get(entry.route)
            if entry.route and entry.target is None:
                raise WiringError(self._unknown(entry, list(names)))
            if entry.target is entry:
                raise WiringError(
                    f"{entry.name!r} is routed to itself: the feedback would go round for ever"
                )

    def _unknown(self, entry: Entry, names: list[str]) -> str:
        start = f"part {entry.name!r} is routed to {entry.route!r}, but "
        if any(entry.route == other.name for other in self.inbound.values()):
            return f"{start}{entry.route!r} is an inbound part: route to an outbound one {names}"
        near = difflib.get_close_matches(entry.route, names, n=1, cutoff=0.5)
        if near:
            return f"{start}no outbound part has this name: did you mean {near[0]!r}?"
        return f"{start}no outbound part has this name; there is {names or 'none yet'}"

    def __repr__(self) -> str:
        rows = [entry for entry in self.entries() if entry.route]
        lines = [f"{n}  {e.name} {_sign(e)} {e.route}" for n, e in enumerate(rows, start=1)]
        lines += [f"-  {e.name} → nowhere" for e in self.inbound.values() if not e.route]
        return "\n".join(lines) or "no rows"

    def entries(self) -> Iterator[Entry]:
        """Every part, inbound ones first, as registered."""
        yield from self.inbound.values()
        yield from self.outbound.values()

    def rows(self, server: str, ids: dict[str, str]) -> Iterator[hook.Route]:
        """The rows of the table, numbered as registered: inbound parts first."""
        rows = [entry for entry in self.entries() if entry.target is not None]
        for number, entry in enumerate(rows, start=1):
            assert entry.target is not None
            feedback = "on" if not entry.inbound else "waits" if entry.blocks else ""
            yield hook.Route(
                server=server,
                number=number,
                source=ids.get(entry.name, entry.name),
                target=ids.get(entry.target.name, entry.target.name),
                feedback=feedback,  # type: ignore[arg-type]
            )


def _sign(entry: Entry) -> str:
    """How the answer to what this row sends travels."""
    return "⇢" if not entry.inbound else "⇄" if entry.blocks else "→"
