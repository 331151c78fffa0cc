"""Report: what was found, as a table to read and as JSON to keep.

1. Nothing tells whose machine it was or when: no name of a host, no path, no date.
2. The JSON has all that the table shows, and each round. Its keys: `python`, `pyzmq`, `libzmq`,
   `messages`, `rounds`, `pinned` and `groups`; of a group `name`, `title`, `messages` (of a variant
   in a round; 0: it moves none), `ratio` (what the ratios are of) and `rows`; of a row `what`,
   `unit`, `median`, `lowest`, `highest`, `ratio` (null where there is none) and `rounds`.
"""

from __future__ import annotations

import json

from pylm_lab.bench.suite import Found, Measured
from pylm_lab.bench.variants import Group

__all__ = ["circumstances", "count_text", "figure_text", "ratio_text", "table", "to_json"]

#: With fewer rounds or messages chance decides more than the code.
FEW_ROUNDS, FEW_MESSAGES = 3, 5_000
#: Decimals by unit.
_DECIMALS = {
    "messages/s": 0,
    "answers/s": 0,
    "ns/operation": 0,
    "ms": 1,
    "µs": 1,
    "µs/message": 2,
    "µs/hop": 2,
    "B/hop": 0,
}


def circumstances(found: Found) -> tuple[str, str]:
    """Two lines: the versions, and how it was measured."""
    where = "pinned to one core" if found.pinned else "not pinned to one core"
    rounds = "1 round" if found.rounds == 1 else f"{found.rounds} rounds"
    size = f"{found.messages:,} message{'s' if found.messages > 1 else ''} of 100 bytes"
    return (
        f"Python {found.python}, pyzmq {found.pyzmq}, libzmq {found.libzmq}",
        f"{size}, {rounds}, {where}",
    )


def count_text(group: Group, found: Found) -> str:
    """How many messages the group's variants move, where that is not the number asked for."""
    count = group.count(found.messages)
    plural = "s" if count > 1 else ""
    return f" ({count:,} message{plural})" if count not in (0, found.messages) else ""


def figure_text(value: float, unit: str) -> str:
    """The number, as exact as it deserves."""
    return f"{value:,.{_DECIMALS[unit]}f}"


def ratio_text(one: Measured) -> str:
    """The ratio, or nothing where there is none."""
    return "" if one.ratio is None else f"{one.ratio:.2f} ×"


def table(found: Found) -> str:
    """The whole table, to be read without any other explanation."""
    versions, how = circumstances(found)
    lines = [
        f"pylm-lab bench: {versions}",
        f"{how}; each figure is the median of the rounds (lowest to highest)",
    ]
    if found.rounds < FEW_ROUNDS or found.messages < FEW_MESSAGES:
        lines.append("So few messages or rounds show that it works; the figures say little.")
    cells = {
        (group.name, one.figure.what): (
            f"  {one.figure.what}",
            figure_text(one.value, one.figure.unit),
            one.figure.unit,
            _spread(one),
            ratio_text(one),
        )
        for group, measured in found.groups
        for one in measured
    }
    what, value, unit, spread, ratio = (
        max(map(len, column)) for column in zip(*cells.values(), strict=True)
    )
    for group, measured in found.groups:
        lines += ["", f"{group.title}{count_text(group, found)}"]
        if group.ratio:
            lines.append(f"× {group.ratio}")
        for one in measured:
            a, b, c, d, e = cells[group.name, one.figure.what]
            line = f"{a:{what}}  {b:>{value}} {c:{unit}}  {d:>{spread}}  {e:>{ratio}}"
            lines.append(line.rstrip())
    return "\n".join(lines)


def _spread(one: Measured) -> str:
    low, high = (figure_text(edge(one.rounds), one.figure.unit) for edge in (min, max))
    return f"({low} to {high})" if len(one.rounds) > 1 else ""


def to_json(found: Found) -> str:
    """All that was found; see the module for the keys."""
    groups = [
        {
            "name": group.name,
            "title": group.title,
            "messages": group.count(found.messages),
            "ratio": group.ratio,
            "rows": [
                {
                    "what": one.figure.what,
                    "unit": one.figure.unit,
                    "median": one.value,
                    "lowest": min(one.rounds),
                    "highest": max(one.rounds),
                    "ratio": one.ratio,
                    "rounds": list(one.rounds),
                }
                for one in measured
            ],
        }
        for group, measured in found.groups
    ]
    about = {
        "python": found.python,
        "pyzmq": found.pyzmq,
        "libzmq": found.libzmq,
        "messages": found.messages,
        "rounds": found.rounds,
        "pinned": found.pinned,
        "groups": groups,
    }
    return json.dumps(about, ensure_ascii=False, indent=2) + "\n"
