"""What a PALM message's bytes tell without protobuf: the trace tail, and the fields at its head.

A recorded message ends in one extra field, number 536870911 (the highest there is), holding three
fixed64: the message's id, its parent's id and a Lamport clock. It is the last thing in the bytes,
so it can be read, replaced and removed without parsing, and peers that don't know it keep it.
`messages.proto` describes it as `PalmTrace`. When nobody records, it is absent.

A payload may itself be a recorded message, or end like one. So a tail counts only where a field
begins; finding that out costs a step over each field, half a microsecond in all.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = [
    "FIELDS",
    "READY",
    "Head",
    "Stamp",
    "fields",
    "read",
    "read_stamp",
    "replace",
    "strip_stamp",
    "text",
    "write_stamp",
]

#: A subscription to this and a topic is answered by one publication under it: the publisher knows
#: of the subscriptions that were made before.
READY = b"\xffready:"

#: A whole tail (KEY, id, parent, clock), and its numbers.
TAIL = struct.Struct("<6sQQQ")
_NUMBERS = struct.Struct("<QQQ")
#: Key of field 536870911 with wire type 2 (length-delimited), then the length, 24.
KEY = b"\xfa\xff\xff\xff\x0f\x18"
_SIZE = TAIL.size

_TEXT_FIELDS = {1: "pipeline", 2: "client", 4: "function", 5: "cache"}
#: The documented fields, and their numbers.
FIELDS = {"pipeline": 1, "client": 2, "stage": 3, "function": 4, "cache": 5, "payload": 6}


class Stamp(NamedTuple):
    """Who a recorded message is: its id, its parent's id (0: none) and its Lamport clock."""

    id: int
    parent: int
    clock: int


class Head(NamedTuple):
    """The fields of a PALM message as far as the given bytes go."""

    pipeline: str = ""
    client: str = ""
    stage: int = 0
    function: str = ""
    cache: str = ""
    payload: bytes = b""


def read_stamp(data: bytes) -> Stamp | None:
    """The trace tail of a serialised message, or None where it has none."""
    if data[-_SIZE:-24] != KEY or _inside_a_field(data):
        return None
    return Stamp(*TAIL.unpack(data[-_SIZE:])[1:])


def tail(data: bytes) -> tuple[int, int, int]:
    """The numbers of the stamp of a message that is known to have one."""
    return _NUMBERS.unpack(data[-24:])


def strip_stamp(data: bytes) -> bytes:
    """The message as it is when nobody records."""
    if data[-_SIZE:-24] != KEY or _inside_a_field(data):
        return data
    return data[:-_SIZE]


def write_stamp(data: bytes, stamp: Stamp) -> bytes:
    """The message with this trace tail, in place of the one that it may have."""
    return strip_stamp(data) + TAIL.pack(KEY, *stamp)


def read(data: bytes) -> tuple[Stamp | None, Head]:
    """The stamp and the fields of a whole message: what `read_stamp` and `fields` tell."""
    size = len(data)
    end = size - _SIZE if data[-_SIZE:-24] == KEY else size
    pipeline = client = function = cache = payload = b""
    stage = 0
    at = 0
    try:
        while at < end:
            key = data[at]
            length = data[at + 1]
            at += 2
            if key > 0x7F or (length > 0x7F and key != 0x32):
                break  # it is nothing usual
            if key == 0x18:
                stage = length
                continue
            if length > 0x7F:
                length, at = _varint(data, at - 1)
            value = data[at : at + length]
            at += length
            if key == 0x0A:
                pipeline = value
            elif key == 0x12:
                client = value
            elif key == 0x22:
                function = value
            elif key == 0x2A:
                cache = value
            elif key == 0x32:
                payload = value
            else:
                break
        else:
            if at == end:
                stamp = None if end == size else Stamp(*TAIL.unpack(data[end:])[1:])
                return stamp, Head(
                    text(pipeline), text(client), stage, text(function), text(cache), payload
                )
    except IndexError:
        pass
    return read_stamp(data), fields(strip_stamp(data))


def _inside_a_field(data: bytes) -> bool:
    """The last field of these bytes holds what looks like a tail.

    Bytes that are no message at all have no fields: a tail on them is theirs.
    """
    size = len(data)
    end = size - _SIZE
    at = 0
    try:
        while at < end:
            key = data[at]
            at += 1
            if key > 0x7F:
                key, at = _varint(data, at - 1)
            kind = key & 7
            if kind == 2:
                length = data[at]
                at += 1
                if length > 0x7F:
                    length, at = _varint(data, at - 1)
                at += length
            elif kind == 0:
                at = _varint(data, at)[1]
            elif kind in (1, 5):
                at += 8 if kind == 1 else 4
            else:
                return False
    except IndexError:
        return False
    return at == size


def fields(data: bytes) -> Head:
    """Read the documented fields out of a message's first bytes; stop in silence where they end.

    It is for showing what an excerpt says: a cut payload is given as far as it goes, and bytes that
    are no PALM message give empty fields.
    """
    found: dict[str, str | int | bytes] = {}
    at = 0
    try:
        while at < len(data):
            key, at = _varint(data, at)
            number, kind = key >> 3, key & 7
            if kind == 0:
                value, at = _varint(data, at)
                if number == 3:
                    found["stage"] = value - (1 << 64) if value >> 63 else value
            elif kind == 2:
                size, at = _varint(data, at)
                chunk = data[at : at + size]
                at += size
                if number in _TEXT_FIELDS:
                    found[_TEXT_FIELDS[number]] = text(chunk)
                elif number == 6:
                    found["payload"] = chunk
            elif kind in (1, 5):
                at += 8 if kind == 1 else 4
            else:
                break
    except IndexError:
        pass  # the excerpt ends inside a number: what was read so far stands
    return Head(**found)  # type: ignore[arg-type]


def replace(data: bytes, field: str, value: bytes | str | int) -> bytes:
    """The message with another value in this field; the rest, and its stamp, stay as they are.

    Bytes that are no message are given back as they are.
    """
    number = FIELDS[field]
    body = strip_stamp(data)
    stamp = data[len(body) :]
    before, after, at = b"", b"", 0
    try:
        while at < len(body):
            begin = at
            key, at = _varint(body, at)
            kind = key & 7
            at = _end(body, at, key)
            # A field of this number and another wire type is an unknown one.
            known = kind == (0 if field == "stage" else 2)
            if key >> 3 < number:
                before += body[begin:at]
            elif key >> 3 > number or not known:
                after += body[begin:at]
    except IndexError:
        return data
    if at != len(body):
        return data
    if isinstance(value, int):
        new = _number(number << 3) + _number(value & 0xFFFFFFFFFFFFFFFF)
    else:
        chunk = value.encode() if isinstance(value, str) else value
        new = _number(number << 3 | 2) + _number(len(chunk)) + chunk
    return before + new + after + stamp


def text(data: bytes) -> str:
    """Bytes of anybody's as text: UTF-8, and what is none as `\\xff`."""
    return data.decode("utf-8", "backslashreplace")


def _end(data: bytes, at: int, key: int) -> int:
    """Where the field ends whose key has been read; IndexError if it ends nowhere, or wrongly."""
    groups: list[int] = []
    while True:
        kind = key & 7
        if kind == 0:
            at = _varint(data, at)[1]
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            size, at = _varint(data, at)
            at += size
        elif kind == 3:
            groups.append(key >> 3)
        elif kind != 4 or not groups or groups.pop() != key >> 3:
            raise IndexError(at)
        if not groups:
            return at
        key, at = _varint(data, at)


def _number(value: int) -> bytes:
    """A number as a varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise IndexError(at)
