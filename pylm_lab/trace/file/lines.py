"""Lines: what a single line of a trace file may be.

`store` documents the format. Here is what is asked of each line by itself; what is wrong is a
`Fault` that names the value and the mend.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

from pylm_lab.hook import Actor, Decision, Port, Route
from pylm_lab.trace.file.schema import Fault, Schema, shown, signed, unsigned
from pylm_lab.trace.records import Event

__all__ = [
    "ACTOR",
    "DECISION",
    "END",
    "EVENT",
    "FORMAT",
    "HEADER",
    "LONGEST",
    "PORT",
    "ROUTE",
    "VERSION",
    "Broken",
    "End",
    "Header",
    "header",
    "in_line",
]

FORMAT = "pylm_lab trace"
VERSION = 2

#: Bytes of the longest line that is read.
LONGEST = 1 << 24
_MEND = "Give the name of a file that Trace.save wrote"


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first line; `lines` is None in a journal."""

    format: str
    version: int
    schedule: str
    seed: int | None
    clock: Literal["ns", "step"]
    scenario: str
    lines: int | None
    forgotten: int = 0
    options: dict[str, int] = field(default_factory=dict)
    cut: tuple[str, ...] = ()
    left_out: int = 0
    called: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Header1:
    """What it was in version 1."""

    format: str
    version: int
    schedule: str
    seed: int | None
    clock: Literal["ns", "step"]
    scenario: str
    lines: int
    forgotten: int = 0
    options: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class End:
    """The last line of a journal."""

    lines: int


HEADER, ACTOR, PORT = Schema(Header), Schema(Actor), Schema(Port)
ROUTE, DECISION, END = Schema(Route), Schema(Decision), Schema(End)
EVENT = Schema(Event, at=signed, stage=signed, clock=unsigned)
_HEADER1 = Schema(_Header1)


class Broken(Fault):
    """It is no JSON: damaged, or cut off in the middle."""


def in_line(data: bytes) -> dict[str, Any]:
    """The JSON object in a line; raises `Fault`."""
    if len(data) > LONGEST:
        raise Fault(f"it has more than {LONGEST:,} bytes. No line of a trace has: was it damaged?")
    try:
        value = _decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Broken(
            f"byte {error.start + 1} is {data[error.start]:#04x}, which is no UTF-8. Was the file"
            " changed by a program that writes another encoding?"
        ) from error
    except json.JSONDecodeError as error:
        raise Broken(
            f"it is no JSON ({error.msg} at character {error.colno} of {shown(error.doc)})."
            " Mend the line, or save the trace again"
        ) from error
    except ValueError as error:  # the one that Python has for such a number
        raise Broken(
            "a number in it has thousands of digits. Mend the line, or save the trace again"
        ) from error
    if not isinstance(value, dict):
        raise Fault(f"it is {shown(value)}, but every line of a trace is a JSON object")
    return value


def _object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise Fault("a field comes twice. Take one of the two away")
    return record


def _no_number(name: str) -> NoReturn:
    raise Fault(f"{name} is no JSON. Write a number")


_decode = json.JSONDecoder(parse_constant=_no_number, object_pairs_hook=_object_once).decode


def header(data: bytes) -> Header:
    """The first line; raises `Fault`."""
    try:
        record = in_line(data)
    except Fault as fault:
        told = str(fault).rstrip(".")
        end = "" if told.endswith("?") else "."
        raise Fault(f"this is no trace: {told}{end} {_MEND}") from fault.__cause__
    if record.get("format") != FORMAT:
        raise Fault(
            f"this is no trace: `format` is {shown(record.get('format'))}, not {shown(FORMAT)}."
            f" {_MEND}"
        )
    version = record.get("version")
    if type(version) is not int or version < 1:
        raise Fault(f"`version` is {shown(version)}, which was never a version. {_MEND}")
    if version > VERSION:
        raise Fault(
            f"the trace is of version {shown(version)} of the format, and this pylm_lab reads only"
            f" those up to {VERSION}. It was written by a newer one: update with"
            " `python -m pip install --upgrade pylm-lab`"
        )
    if version == 1:
        return Header(**vars(_HEADER1.read(record)))
    return HEADER.read(record)
