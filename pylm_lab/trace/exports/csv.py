"""CSV: a table with one row a hop, for spreadsheets and whatever else reads tables.

1. As RFC 4180 has it: a header, commas, quotes where they are needed, lines that end in CR LF;
   UTF-8. The columns are those of `Trace.to_records`. What is None is an empty field.
2. A text that a spreadsheet would take for a formula (its first character is one of `= + - @`) has
   an apostrophe before it, which spreadsheets do not show: what a message brings along is never
   run. Numbers are as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pylm_lab.trace.exports.rows import COLUMNS, rows

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["lines"]

#: An apostrophe is among them, so that exactly one comes off.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "'")
#: Rows that are written together.
_ROWS = 1000


def lines(trace: Trace) -> Iterator[str]:
    """The table, by pieces of whole lines."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for n, row in enumerate(rows(trace), 1):
        writer.writerow(map(_field, row))
        if n % _ROWS == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _field(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
