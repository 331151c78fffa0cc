"""Schema: what the fields of a line of a trace file may hold.

It is read off the dataclasses themselves, so a field or a word that one of them learns can be saved
and loaded from then on. What their types don't say, such as how large an integer may be, whoever
makes the schema adds.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from pylm_lab.trace.show.excerpt import excerpt

__all__ = ["Fault", "Misfit", "Schema", "shown", "signed", "unsigned"]

T = TypeVar("T")
#: Gives the value of a field, or raises `Misfit`.
_Reader = Callable[[object], Any]
#: What messages and requests are called.
_NUMBER = re.compile(r"r?[0-9]{1,12}(?:\.[0-9]{1,12})*")


class Fault(Exception):  # noqa: N818 - it becomes a TraceFileError, which also says where
    """What is wrong with a line, and how to mend it."""


class Misfit(Exception):  # noqa: N818 - likewise
    """What a field should hold, in words."""


def shown(value: object) -> str:
    """A value as JSON, in short."""
    return excerpt(json.dumps(value), 60)


class Schema(Generic[T]):
    """The fields of one dataclass, and how each is read."""

    def __init__(self, record: type[T], **readers: _Reader) -> None:
        """`readers` are those of fields whose type does not say all."""
        hints = get_type_hints(record)
        fields = dataclasses.fields(record)  # type: ignore[arg-type]
        self._record = record
        self._readers = {f.name: readers.get(f.name) or _reader(hints[f.name]) for f in fields}
        self._defaults = tuple((field.name, _default(field)) for field in fields)
        self._required = [n for n, value in self._defaults if value is dataclasses.MISSING]

    def write(self, record: T) -> dict[str, Any]:
        """The fields that don't have their default, in the order of the dataclass."""
        return {
            name: value
            for name, default in self._defaults
            if (value := getattr(record, name)) != default
        }

    def read(self, line: dict[str, Any]) -> T:
        """The record in a line; raises `Fault`."""
        values = {}
        for name, value in line.items():
            reader = self._readers.get(name)
            if reader is None:
                raise Fault(
                    f"{shown(name)} is no field of this line; there are {', '.join(self._readers)}."
                    " Take it away, or correct its name"
                )
            try:
                values[name] = reader(value)
            except Misfit as misfit:
                raise Fault(f"`{name}` is {shown(value)}. It should be {misfit}") from None
        for name in self._required:
            if name not in values:
                raise Fault(f"the field `{name}` is missing. Add it, or save the trace again")
        return self._record(**values)


def _default(field: dataclasses.Field[Any]) -> Any:
    """What it is when it is left out; `MISSING` if it may not be."""
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def _reader(hint: Any) -> _Reader:
    """How a value of this type is read."""
    words = _words(hint)
    if words:
        return _one_of(words)
    by_type: dict[Any, _Reader] = {
        str: _text,
        bool: _flag,
        int: _integer,
        int | None: _integer_or_null,
        tuple[int, ...]: _sizes,
        tuple[str, ...]: _texts,
        dict[str, int]: _numbers,
        dict[str, str]: _names,
    }
    return by_type[hint]


def _words(hint: Any) -> tuple[str, ...]:
    """The words of a Literal, or of several joined by `|`."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    parts = [part for part in get_args(hint) if get_origin(part) is Literal]
    return tuple(word for part in parts for word in get_args(part))


def _one_of(words: tuple[str, ...]) -> _Reader:
    known = {word: word for word in words}

    def read(value: object) -> str:
        word = known.get(value) if isinstance(value, str) else None
        if word is None:
            raise Misfit(f"one of {', '.join(map(shown, words))}")
        return word

    return read


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Misfit("text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Misfit("true or false")
    return value


def _integer(value: object) -> int:
    if type(value) is not int:
        raise Misfit("an integer")
    if not -(1 << 63) <= value < 1 << 64:
        raise Misfit("an integer of at most 64 bits")
    return value


def _integer_or_null(value: object) -> int | None:
    if value is not None and type(value) is not int:
        raise Misfit("an integer or null")
    return value


def signed(value: object) -> int:
    """Reads an integer as an int64 holds it."""
    number = _integer(value)
    if number >> 63 > 0:
        raise Misfit("an integer of at most 64 bits, its sign included")
    return number


def unsigned(value: object) -> int:
    """Reads an integer as a uint64 holds it."""
    number = _integer(value)
    if number < 0:
        raise Misfit("an integer of at most 64 bits that is not negative")
    return number


def _sizes(value: object) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise Misfit("a list of integers")
    for size in value:
        if _integer(size) < 0:
            raise Misfit("a list of integers that are not negative")
        if size >> 63:
            raise Misfit("a list of integers of at most 63 bits")
    return tuple(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise Misfit("a list of texts")
    return tuple(value)


def _numbers(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise Misfit("an object whose values are integers")
    return {name: _integer(number) for name, number in value.items()}


def _names(value: object) -> dict[str, str]:
    wanted = Misfit("an object whose values are numbers of messages, such as `3.1` or `r2`")
    if not isinstance(value, dict):
        raise wanted
    for name in value.values():
        if not isinstance(name, str) or not _NUMBER.fullmatch(name):
            raise wanted
    return value
