"""Finding: something that should not have happened; and the invariants that look for such things.

1. Each invariant has a name, and a line that says what it asks. Those of the lab keep theirs.
2. One of a user's own is asked like the others; one that fails, or gives what is no finding, is a
   finding itself, and the others are asked all the same.
"""

from __future__ import annotations

import difflib
import inspect
import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pylm_lab.errors import WiringError
from pylm_lab.trace.show.excerpt import excerpt

if TYPE_CHECKING:
    from pylm_lab.trace.rules.facts import Case
    from pylm_lab.trace.trace import Trace

__all__ = [
    "COMPLETE",
    "Finding",
    "Found",
    "Invariant",
    "Rule",
    "asked",
    "chosen",
    "forget",
    "invariant",
    "invariants",
    "own",
]

#: How long a name of an invariant may be.
LONG = 60
#: The name of a finding that says what can't be told of a record that is not whole.
COMPLETE = "complete"


@dataclass(frozen=True, slots=True, repr=False)
class Finding:
    """Something that should not have happened.

    `name` is that of the invariant, `sentence` says it to a student, `hops` are positions in
    `Trace.hops`. With `unsure` it only says that something can't be told, and why.
    """

    name: str
    sentence: str
    hops: tuple[int, ...] = ()
    unsure: bool = False

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        """As it is read in a list: its sentence, after the name of the invariant."""
        return f"<{self.name}: {self.sentence}>"


#: What is found: a sentence, and the positions in `Trace.hops` that it is about.
Found = Iterator[tuple[str, Iterable[int]]]

#: One of a user's own. It is given a trace and gives, for each thing that is wrong, a sentence, or
#: a sentence and positions in `Trace.hops`: one after the other, as a list, or None for nothing.
Invariant = Callable[["Trace"], Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """An invariant, ready to be asked."""

    name: str
    says: str
    ask: Callable[[Case], Iterable[Finding]]


#: The lab's, and then the users' own, by name.
_LAB: dict[str, Rule] = {}
_OWN: dict[str, Rule] = {}


def own(name: str) -> Callable[[Callable[[Case], Found]], Rule]:
    """One of the lab's own invariants, out of the function below; `asked` adds it."""

    def make(rule: Callable[[Case], Found]) -> Rule:
        def ask(case: Case) -> Iterator[Finding]:
            for sentence, hops in rule(case):
                yield Finding(name, sentence, tuple(hops))

        return Rule(name, _line(rule), ask)

    return make


def asked(*rules: Rule) -> None:
    """Ask these of the lab's own, in this order."""
    _LAB.update((rule.name, rule) for rule in rules)


def invariant(name: str) -> Callable[[Invariant], Invariant]:
    """Let `Trace.check` ask the function below as well, from now on.

        @lab.invariant("short messages")
        def short(trace):
            "No message has more than 100 bytes."
            for n, hop in enumerate(trace.hops):
                if hop.sent is not None and sum(trace.events[hop.sent].sizes) > 100:
                    yield f"Message {trace.numbers.get(hop.message)} is long.", [n]

    It is given a trace, and gives a sentence for each thing that is wrong, alone or with the
    positions in `Trace.hops` that it is about; as a list, if you like. The first line of its
    docstring says what it asks. Another one of the same name takes its place, so a cell may run
    twice; `forget` takes it away.

    Raises:
        WiringError: the name is no name, or that of one of the lab's own.
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONG:
        shown = getattr(name, "__name__", None) or excerpt(repr(name), 60)
        raise WiringError(
            f"{shown}: an invariant needs a name of a few words, such as "
            '@lab.invariant("short messages")'
        )
    if name in _LAB or name == COMPLETE:
        raise WiringError(f"{name!r} is one of the lab's own invariants: choose another name")

    def add(rule: Invariant) -> Invariant:
        if not callable(rule):
            raise WiringError(f"{name!r}: an invariant is a function of a trace, not {rule!r}")

        def ask(case: Case) -> Iterator[Finding]:
            return _ask(name, rule, case)

        _OWN[name] = Rule(name, _line(rule), ask)
        return rule

    return add


def forget(name: str) -> None:
    """Ask a user's own invariant no more.

    Raises:
        WiringError: there is none of that name, or it is the lab's.
    """
    if name in _OWN:
        del _OWN[name]
        return
    if name in _LAB:
        raise WiringError(f"{name!r} is one of the lab's own invariants: check(only=…) leaves it")
    raise WiringError(f"there is no invariant {name!r} of your own{_nearest(name, _OWN)}")


def invariants() -> dict[str, str]:
    """What `Trace.check` asks: the name of each invariant, and what it says."""
    return {rule.name: rule.says for rule in (*_LAB.values(), *_OWN.values())}


def chosen(only: str | Iterable[str] | None) -> list[Rule]:
    """The invariants of these names, in the order in which they are asked; all, if None.

    Raises:
        WiringError: there is none of a name.
    """
    known = {**_LAB, **_OWN}
    if only is None:
        return list(known.values())
    names = list(only) if isinstance(only, Iterable) and not isinstance(only, str) else [only]
    for name in names:
        if name not in known:
            near = _nearest(name, known)
            raise WiringError(
                f"there is no invariant {name!r}{near or '.'} There are {', '.join(known)}"
            )
    return [rule for name, rule in known.items() if name in names]


def _nearest(name: object, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1) if isinstance(name, str) else []
    return f": do you mean {near[0]!r}?" if near else ""


def _line(rule: Callable[..., Any]) -> str:
    """The first line of its docstring."""
    told = inspect.getdoc(rule) or ""
    return told.partition("\n")[0].strip()


def _ask(name: str, rule: Invariant, case: Case) -> Iterator[Finding]:
    """What a user's own invariant finds; if it fails, that is found."""
    try:
        said = rule(case.trace)
        if said is None:
            return
        if isinstance(said, str | Finding) or not isinstance(said, Iterable):
            said = [said]
        for one in said:
            yield _finding(name, one, len(case.hops))
    except Exception as error:  # noqa: BLE001 - it is anybody's code
        text = excerpt(str(error), 120).rstrip(".")
        why = f"{type(error).__name__}{': ' * bool(text)}{text}"
        yield Finding(
            name, f"The invariant {name!r} could not be asked: it raised {why}{_where(error)}."
        )


def _where(error: Exception) -> str:
    """The line at which a user's function raised it."""
    at = error.__traceback__
    at = at.tb_next if at else None
    return f" (line {at.tb_lineno} of {at.tb_frame.f_code.co_name})" if at else ""


def _finding(name: str, said: Any, count: int) -> Finding:
    """What was given, as a finding of this name."""
    if isinstance(said, Finding):
        said = said.sentence, said.hops
    sentence, hops = said if isinstance(said, tuple) and len(said) == 2 else (said, ())
    if isinstance(hops, int) and not isinstance(hops, bool):
        hops = (hops,)
    told = list(hops) if isinstance(hops, Iterable) and not isinstance(hops, str) else [hops]
    places = [_place(one) for one in told]
    if not isinstance(sentence, str) or not sentence.strip():
        wrong = "a sentence"
    elif not all(0 <= place < count for place in places):
        wrong = f"positions in trace.hops, which has {count:,},"
    else:
        return Finding(name, sentence, tuple(places))
    return Finding(
        name,
        f"The invariant {name!r} gave {excerpt(repr(said), 80)}, in which {wrong} should be: let "
        "it give a sentence, or a sentence and a list of positions in trace.hops.",
    )


def _place(told: Any) -> int:
    """A position as an int; -1 if it is none."""
    try:
        return operator.index(told)
    except TypeError:
        return -1
