"""The parts, classified: what each class says of itself, read from the classes.

Nothing is listed here by hand: a class counts that a module of parts exports.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from types import ModuleType

from pylm_lab.parts import connections, core, gateways, services
from pylm_lab.parts.part import Part

__all__ = ["Catalog", "Classified", "catalog"]

#: Where parts are that can be registered; `core` has those that they are made from.
MODULES: tuple[ModuleType, ...] = (services, connections, gateways)


@dataclass(frozen=True, slots=True)
class Classified:
    """A class of parts, and where it stands in each of the four classifications.

    Attributes:
        module: where it is, as documented.
        name: the class's name.
        base: the documented class that it is made from.
        socket: what it holds towards the outside, such as `PULL`.
        binds: it is a service, which binds; else a connection, which connects.
        bypass: it has no wire to the router; else it is a standard part.
        direction: of the first message, as the router sees it; empty where there is none.
        blocking: something is sent back, which one end waits for; None: that is said elsewhere.
        summary: what it is for, in a sentence.
    """

    module: str
    name: str
    base: str
    socket: str
    binds: bool
    bypass: bool
    direction: str
    blocking: bool | None
    summary: str

    @property
    def words(self) -> tuple[str, str, str, str]:
        """Its place in the four classifications, in words."""
        return (
            "service" if self.binds else "connection",
            "bypass" if self.bypass else "standard",
            self.direction,
            {True: "blocking", False: "not blocking", None: ""}[self.blocking],
        )


class Catalog(list[Classified]):
    """A list of classes of parts, which shows itself as a table: in a notebook, or printed."""

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*map(_row, self), strict=True)]
        lines: list[str] = []
        # A module's name stands over its parts; the words say which question they answer.
        for module, group in groupby(self, lambda part: part.module):
            lines += [module, *(_line(_row(part), widths) for part in group)]
        return "\n".join(lines)

    def markdown(self) -> str:
        """The table in Markdown, with the module and the summary of each."""
        return _markdown(
            ("module", *_HEAD, "summary"),
            ((f"`{part.module}`", *_cells(part), part.summary) for part in self),
        )

    def _repr_markdown_(self) -> str:
        # As wide as a page: a column for a sentence would make each row as high as five.
        return _markdown(_HEAD, map(_cells, self))


_HEAD = (
    "part",
    "base",
    "socket",
    "service or connection",
    "standard or bypass",
    "direction",
    "blocking",
)


def _row(part: Classified) -> tuple[str, ...]:
    return (part.name, part.base, part.socket, *part.words)


def _cells(part: Classified) -> tuple[str, ...]:
    name, *row = _row(part)
    return (f"`{name}`", *row)


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    rule = ("---",) * len(head)
    escaped = (tuple(cell.replace("|", "\\|") for cell in row) for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *escaped))


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return f"  {'  '.join(cells)}".rstrip()


def catalog() -> Catalog:
    """Every class of parts that can be registered, classified; it shows itself as a table.

    Services come before connections; in each, standard parts before bypass parts, inbound before
    outbound, and then by name.
    """
    return Catalog(
        one
        for module in MODULES
        for one in sorted(_of(module), key=lambda one: (one.bypass, one.direction, one.name))
    )


def _of(module: ModuleType) -> Iterator[Classified]:
    for name in module.__all__:
        part = getattr(module, name)
        # One that says nothing of its socket is no part yet, but what parts are made from.
        if inspect.isclass(part) and issubclass(part, Part) and part.socket:
            yield Classified(
                module=module.__name__,
                name=name,
                base=_base(part),
                socket=part.socket,
                binds=bool(part.binds),
                bypass=part.bypass,
                direction=part.direction,
                blocking=part.blocking,
                summary=(inspect.getdoc(part) or "").partition("\n")[0],
            )


def _base(part: type[Part]) -> str:
    """The nearest class above it that is documented."""
    known = {getattr(module, name) for module in (core, *MODULES) for name in module.__all__}
    return next((kind.__name__ for kind in part.__mro__[1:] if kind in known), "")
