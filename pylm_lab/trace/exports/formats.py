"""Formats: what a trace can be exported to, by name.

1. A format is a module with the rules of its tool; here is only its name.
2. Every format is written piece by piece: a long trace is never in memory as text.
3. The same trace gives the same bytes.
"""

from __future__ import annotations

import difflib
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from pylm_lab.errors import LabError
from pylm_lab.trace.exports import chrome, csv, mermaid, otlp, shiviz

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["FORMATS", "Format", "check", "named", "pieces", "save", "write"]

#: Characters that are written together.
_BLOCK = 1 << 16


class Format(NamedTuple):
    """A format: what opens it, how it is written, and what can be said of that."""

    opens: str
    lines: Callable[..., Iterator[str]]
    options: tuple[str, ...] = ()


#: By name.
FORMATS = {
    "shiviz": Format("ShiViz", shiviz.lines),
    "chrome": Format("Perfetto and chrome://tracing", chrome.lines),
    "otlp": Format("OpenTelemetry collectors and Jaeger", otlp.lines),
    "mermaid": Format("Markdown with Mermaid", mermaid.lines, ("limit", "credits")),
    "csv": Format("spreadsheets", csv.lines),
}


def named(to: str) -> Format:
    """The format of this name.

    Raises:
        LabError: there is none. The text names the nearest.
    """
    chosen = FORMATS.get(to) if isinstance(to, str) else None
    if chosen is None:
        near = difflib.get_close_matches(str(to).lower(), FORMATS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FORMATS)}"
        raise LabError(f"there is no format {to!r} to export to: {hint}")
    return chosen


def check(to: str, **options: Any) -> Format:
    """The format of this name, which has these options and takes their values.

    Raises:
        LabError: there is no such format, or it has no such option, or not with this value.
    """
    chosen = named(to)
    for name, value in options.items():
        if name not in chosen.options:
            who = ", ".join(other for other, each in FORMATS.items() if name in each.options)
            hint = f"{who} has" if who else "leave it out"
            raise LabError(f"{name}={value!r}: the format {to!r} has no such option; {hint}")
    limit = options.get("limit")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise LabError(f"limit={limit!r}: how many hops to draw, a whole number of at least 1")
    return chosen


def pieces(trace: Trace, to: str, **options: Any) -> Iterator[str]:
    """The trace in this format, piece by piece.

    Raises:
        LabError: as `check`.
    """
    return check(to, **options).lines(trace, **options)


def save(trace: Trace, to: str, path: str | Path, **options: Any) -> Path:
    """Write the trace in this format to the path; compressed, if the name ends in `.gz`.

    Raises:
        LabError: as `check`; or OutputError, since the file can't be written.
    """
    from pylm_lab.trace.file import store  # it makes traces, whose module imports this one

    path = Path(path)
    told = pieces(trace, to, **options)
    with store.in_place(path) as file:
        write(told, file)
    return path


def write(told: Iterator[str], file: IO[bytes] | gzip.GzipFile) -> None:
    """Write these pieces of text, as UTF-8."""
    block: list[str] = []
    size = 0
    for piece in told:
        block.append(piece)
        size += len(piece)
        if size > _BLOCK:
            file.write(_bytes(block))
            block, size = [], 0
    file.write(_bytes(block))


def _bytes(block: list[str]) -> bytes:
    # What is no character of Unicode can only come out of an id.
    return "".join(block).encode("utf-8", "backslashreplace")
