"""Blocks: lines of a trace file as `store` writes them, many at once.

1. This is a short cut and decides nothing: a line that is not written as we write it, or that is
   wrong, is left to `reading`, which reads it by itself and says what is wrong.
2. In most lines hardly anything is new. Each different piece of a line is read once, by the same
   schema as a line by itself; for the rest it is looked up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pylm_lab.hook import Decision
from pylm_lab.trace.builder import Columns
from pylm_lab.trace.file.lines import DECISION, EVENT, in_line
from pylm_lab.trace.file.schema import Fault, Misfit, signed, unsigned
from pylm_lab.trace.records import Event
from pylm_lab.trace.tables import KINDS, code

__all__ = ["Blocks"]

T = TypeVar("T")

#: A JSON text, without looking at what is escaped in it; and a number that an int64 holds. Nothing
#: in a line can be read in two ways, so the pattern never goes back.
_TEXT = r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_NUMBER = r"(?:0|[1-9][0-9]{0,17})"


def _may(field: str, value: str = _TEXT) -> str:
    return f'(?:,"{field}":{value})?+'


#: Every line: an event without a fault, a decision, or (all groups are empty) something else.
_LINE = re.compile(
    rf'^(?:\{{"is":"event","at":(-?{_NUMBER})'
    rf',("what":{_TEXT},"actor":{_TEXT}{_may("port")}{_may("kind")})'
    rf"({_may('message')}{_may('parent')}{_may('clock', '[0-9]++')}{_may('stage', '-?[0-9]++')}"
    rf"{_may('function')})"
    rf'(?:,"sizes":\[((?:{_NUMBER},)*)({_NUMBER})\])?'
    rf"({_may('excerpt')})"
    rf"({_may('peer')}{_may('topic')})"
    rf"({_may('text')})\}}"
    rf'|\{{"is":"decision","at":(-?{_NUMBER})(,"kind":.*)\}}'
    r"|.*)$",
    re.MULTILINE,
)
_decode = json.JSONDecoder().decode
#: Of the pieces that differ most, so many are remembered at the most.
_KNOWN = 50_000


class _Known(dict[Any, T]):
    """What a piece of a line says; read when it comes for the first time."""

    def __init__(self, read: Callable[[Any], T]) -> None:
        self._read = read

    def __missing__(self, piece: Any) -> T:
        if len(self) >= _KNOWN:
            self.clear()
        self[piece] = found = self._read(piece)
        return found


class Blocks:
    """Reads blocks of lines into columns and a list of decisions.

    `agree` raises `Fault` for an event that does not agree with what is declared.
    """

    def __init__(
        self, columns: Columns, decisions: list[Decision], agree: Callable[[Event], None]
    ) -> None:
        self._columns, self._decisions, self._agree = columns, decisions, agree
        self._heads = _Known(self._head)
        self._contents = _Known(self._content)
        self._envelopes = _Known(self._envelope)
        self._texts = _Known(self._text)
        self._choices = _Known(self._choice)

    def read(self, text: str) -> Iterator[int | str]:
        """Read whole lines, in order. Yields how many were read, or a line to be read by itself."""
        text = text.removesuffix("\n")
        found = _LINE.findall(text)
        lines: list[str] = []
        begin = 0
        for quick, end in _runs(found):
            count = end - begin
            run = found[begin:end] if count < len(found) else found
            if (quick == _EVENT and self._events(run)) or (
                quick == _DECISION and self._decided(run)
            ):
                yield count
            else:
                lines = lines or text.split("\n")
                yield from lines[begin:end]
            begin = end

    def _events(self, run: list[tuple[str, ...]]) -> bool:
        """Take these events, or none of them."""
        at, head, said, before, last, excerpt, peer, text, _, _ = zip(*run, strict=True)
        try:
            heads = list(map(self._heads.__getitem__, head))
            contents = list(map(self._contents.__getitem__, zip(said, last, excerpt, strict=True)))
            envelopes = list(map(self._envelopes.__getitem__, zip(before, peer, strict=True)))
            texts = list(map(self._texts.__getitem__, text))
        except (Fault, Misfit):
            return False
        self._columns.extend(list(map(int, at)), heads, contents, envelopes, texts)
        return True

    def _decided(self, run: list[tuple[str, ...]]) -> bool:
        """Take these decisions, or none of them."""
        try:
            chosen = [(int(row[8]), self._choices[row[9]]) for row in run]
        except (Fault, RecursionError):
            return False
        self._decisions.extend(
            Decision(at=at, kind=kind, actor=actor, port=port, text=text)
            for at, (kind, actor, port, text) in chosen
        )
        return True

    # What a piece says, in codes

    def _event(self, piece: str, **more: Any) -> Event:
        return EVENT.read(
            {**_NOWHERE, **in_line(f"{{{piece.removeprefix(',')}}}".encode()), **more}
        )

    def _head(self, piece: str) -> tuple[int, int, int, int]:
        event = self._event(piece)
        self._agree(event)  # so it is no fault: that would need what the pattern leaves out
        columns = self._columns
        return (
            code(event.what),
            columns.actors.code(event.actor),
            columns.ports.code(event.port) if event.port else -1,
            KINDS.index(event.kind),
        )

    def _content(self, piece: tuple[str, str, str]) -> int:
        # There are many of these. The pattern says which fields they have and whether a field is a
        # text or an integer; what it doesn't say is asked here.
        before, last, excerpt = piece
        try:
            said = _decode(f"{{{(before + excerpt).removeprefix(',')}}}").get
        except ValueError as error:
            raise Fault("it is no JSON") from error
        return self._columns.content_of(
            said("message", ""),
            said("parent", ""),
            unsigned(said("clock", 0)),
            signed(said("stage", 0)),
            said("function", ""),
            said("excerpt", ""),
            int(last) if last else -1,
        )

    def _envelope(self, piece: tuple[str, str]) -> int:
        before, peer = piece
        event = self._event(peer)
        return self._columns.envelope_of(event, tuple(map(int, before.split(",")[:-1])))

    def _text(self, piece: str) -> int:
        return self._columns.texts.code(self._event(piece).text)

    def _choice(self, piece: str) -> tuple[str, str, str, str]:
        chosen = DECISION.read(in_line(f'{{"at":0{piece}}}'.encode()))
        return chosen.kind, chosen.actor, chosen.port, chosen.text


#: What an event says of itself at the least.
_NOWHERE: dict[str, Any] = {"at": 0, "what": "start", "actor": ""}
_OTHER, _EVENT, _DECISION = 0, 1, 2


def _runs(found: list[tuple[str, ...]]) -> list[tuple[int, int]]:
    """(what they are, where they end) of lines of one sort that follow each other."""
    if all(row[0] for row in found):
        return [(_EVENT, len(found))]
    sorts = [_EVENT if row[0] else _DECISION if row[8] else _OTHER for row in found]
    changes = [n for n in range(1, len(sorts)) if sorts[n] != sorts[n - 1]]
    return [(sorts[end - 1], end) for end in (*changes, len(sorts))]
