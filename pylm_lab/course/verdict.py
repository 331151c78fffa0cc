"""What a check finds, as something that prints itself."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pylm_lab.draw.figure import draw
from pylm_lab.errors import LabError
from pylm_lab.trace import Trace

__all__ = ["Verdict", "journeys"]


#: Actors on a way that is told; a longer one goes in circles.
LONGEST = 14


@dataclass(frozen=True, kw_only=True, repr=False)
class Verdict:
    """Whether an answer is right, and why not.

    It is true or false like `passed`. `sentences` say what was found, the most telling first;
    `journeys` where the messages went; `trace` is the run that shows it, or None if there was none.
    """

    exercise: str
    passed: bool
    sentences: tuple[str, ...]
    journeys: tuple[str, ...] = ()
    trace: Trace | None = None

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        lines = [f"{self.exercise}: {'right' if self.passed else 'not yet'}"]
        lines += [f"  {sentence}" for sentence in self.sentences]
        if self.journeys:
            lines += ["Where the messages went:", *(f"  {journey}" for journey in self.journeys)]
        return "\n".join(lines)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The words, and a picture of the run that they speak of."""
        words = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.sentences)
        ways = "".join(f"<li>{html.escape(journey)}</li>" for journey in self.journeys)
        head = html.escape(repr(self).partition("\n")[0])
        document = f"<p><strong>{head}</strong></p><ul>{words}</ul>"
        if ways:
            document += f"<p>Where the messages went:</p><ul>{ways}</ul>"
        picture = self._picture()
        if picture:
            document += picture
        return {"text/plain": repr(self), "text/html": document}

    def _picture(self) -> str:
        """The router view of the run; empty where there is nothing to draw."""
        if self.trace is None:
            return ""
        try:
            picture = draw(self.trace)
        except LabError:
            return ""
        png = picture._repr_mimebundle_()[0]["image/png"]
        assert isinstance(png, bytes)
        source = base64.b64encode(png).decode()
        alt = html.escape(picture.alt)
        return f'<img alt="{alt}" width="700" src="data:image/png;base64,{source}">'


def journeys(trace: Trace, messages: Sequence[str]) -> list[str]:
    """Where these messages went, those that went the same way told once."""
    ways: dict[tuple[str, ...], list[str]] = {}
    for message in messages:
        way = tuple(trace.labels[actor] for actor in trace.path(message))
        if len(way) > LONGEST:
            way = (*way[:LONGEST], "and on and on")
        ways.setdefault(way, []).append(trace.numbers[message])
    return [f"{_these(numbers)}: {' → '.join(way)}" for way, numbers in ways.items()]


def _these(numbers: Sequence[str]) -> str:
    if len(numbers) == 1:
        return f"message {numbers[0]}"
    if len(numbers) > 4:
        return f"{len(numbers)} messages ({numbers[0]}, {numbers[1]}, … {numbers[-1]})"
    return f"messages {', '.join(numbers)}"
