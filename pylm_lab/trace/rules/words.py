"""Words: how a finding speaks of messages and of actors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pylm_lab.hook import Kind
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.tables import KINDS

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["They", "name", "one_of"]

#: Messages that a sentence names; of more it tells how many.
NAMED = 8
#: What has a number of its own, and what has none.
_NUMBERED: dict[Kind, str] = {"message": "message", "request": "request"}
_NAMELESS: dict[Kind, tuple[str, str]] = {
    "credit": ("an acknowledgement", "acknowledgements"),
    "answer": ("an answer", "answers"),
    "ready": ("an echo of a subscription", "echoes of subscriptions"),
}


class They:
    """Some messages, or other things of a kind, and the words that go with one or with several."""

    def __init__(self, trace: Trace, messages: Iterable[str], kind: Kind = "message") -> None:
        self.trace = trace
        self._kind = kind
        self._names = [trace.numbers.get(message, "") for message in messages]
        one = len(self._names) == 1
        self.were = "was" if one else "were"
        self.are = "is" if one else "are"
        self.they = "it" if one else "they"
        self.them = "it" if one else "them"

    @classmethod
    def on(cls, trace: Trace, hops: Iterable[int]) -> They:
        """What crosses in these hops; messages, if they are not all of another kind."""
        chosen = list(hops)
        kinds: set[int] = set(trace.hops.kind[chosen].tolist())
        ids = trace.columns.ids
        messages = [ids[n] for n in trace.hops.message[chosen].tolist()]
        kind = KINDS[kinds.pop()] if len(kinds) == 1 else "message"
        return cls(trace, messages, kind or "message")

    def __str__(self) -> str:
        words = self._words()
        return words[:1].upper() + words[1:]

    def _words(self) -> str:
        names = [name for name in self._names if name]
        one = len(self._names) == 1
        word = _NUMBERED.get(self._kind)
        if word is None:
            single, several = _NAMELESS[self._kind]
            return single if one else f"{len(self._names)} {several}"
        if one:
            return f"{word} {names[0]}" if names else f"a {word} without an id"
        shown, more = names[:NAMED], len(self._names) - min(len(names), NAMED)
        if not shown:
            return f"{more} {word}s without an id"
        last = f"{more:,} more" if more else shown.pop()
        return f"{word}s {', '.join(shown)} and {last}"

    def lower(self) -> str:
        """The same in the middle of a sentence."""
        return self._words()


def name(trace: Trace, actor: str) -> str:
    """What a sentence calls an actor."""
    label = trace.labels.get(actor, actor)
    if label == "router" and trace.actor(actor).role == "router":
        return "the router"
    return excerpt(label, 40, middle=True)


def one_of(trace: Trace, actors: Sequence[str]) -> str:
    """The actor, or *one of* several."""
    names = [name(trace, actor) for actor in actors]
    if len(names) == 1:
        return names[0]
    if len(names) > NAMED:
        return f"one of {len(names)} others"
    return f"one of {', '.join(names[:-1])} and {names[-1]}"
