"""Invariants of one's own: they are asked like the others, and disturb nobody, whatever they do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab.errors import WiringError
from pylm_lab.trace import Finding, Trace, forget, invariant, invariants


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """What a test adds is taken away."""
    before = set(invariants())
    yield
    for name in set(invariants()) - before:
        forget(name)


def long() -> Trace:
    """A message of 200 bytes, there and back."""
    return Build().master(workers=1).run(1, data=message(1, payload=b"x" * 200)).end()


def lossy() -> Trace:
    """A message that is lost."""
    return Build().master(workers=1).run(1, until="client:push").end()


def test_it_is_asked_as_well() -> None:
    @lab.invariant("short messages")
    def short(trace: Trace) -> Iterator[tuple[str, list[int]]]:
        """No message has more than 100 bytes.

        And so on.
        """
        for n, hop in enumerate(trace.hops_of("message")):
            if hop.sent is not None and sum(trace.events[hop.sent].sizes) > 100:
                yield f"Message {trace.numbers[hop.message]} is long.", [n]

    found = long().check()
    assert found[0] == Finding("short messages", "Message 1 is long.", (0,))
    assert len(found) == 8
    assert invariants()["short messages"] == "No message has more than 100 bytes."
    assert list(invariants())[-1] == "short messages", "those of the lab come first"
    assert short is not None, "the decorator gives the function back"


def test_the_later_one_of_a_name_takes_the_earlier_ones_place() -> None:
    """So a notebook cell may run twice."""
    for told in ("first", "second"):

        @invariant("mine")
        def mine(trace: Trace, told: str = told) -> list[str]:
            return [told]

    assert long().check() == [Finding("mine", "second")]
    assert list(invariants()).count("mine") == 1


def test_it_can_be_taken_away() -> None:
    invariant("mine")(lambda trace: ["no"])
    assert long().check() != []
    forget("mine")
    assert long().check() == []
    with pytest.raises(WiringError, match="there is no invariant 'mine' of your own"):
        forget("mine")


def test_it_may_be_asked_alone_or_left_out() -> None:
    invariant("mine")(lambda trace: ["no"])
    trace = lossy()
    assert [f.name for f in trace.check()] == ["conservation", "mine"]
    assert [f.name for f in trace.check(only="mine")] == ["mine"]
    assert [f.name for f in trace.check(only=["mine", "conservation"])] == ["conservation", "mine"]
    assert trace.check(only=[]) == []


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, []),
        ([], []),
        (iter(()), []),
        ("One sentence.", [("One sentence.", ())]),
        (["One.", "Two."], [("One.", ()), ("Two.", ())]),
        ([("One.", [0, 3])], [("One.", (0, 3))]),
        ([("One.", 3)], [("One.", (3,))]),
        ([("One.", (n for n in (1, 2)))], [("One.", (1, 2))]),
        ([Finding("another name", "One.", (2,))], [("One.", (2,))]),
        (Finding("mine", "One."), [("One.", ())]),
        ({"One.": 1}, [("One.", ())]),
    ],
)
def test_it_may_say_it_in_many_ways(said: Any, found: list[tuple[str, tuple[int, ...]]]) -> None:
    invariant("mine")(lambda trace: said)
    assert long().check() == [Finding("mine", sentence, hops) for sentence, hops in found]


@pytest.mark.parametrize(
    ("said", "shown", "wrong"),
    [
        (42, "42", "a sentence"),
        (True, "True", "a sentence"),
        ([("One.", [900])], "('One.', [900])", "positions in trace.hops, which has 8,"),
        ([("One.", [-1])], "('One.', [-1])", "positions in trace.hops"),
        ([("One.", "hops")], "('One.', 'hops')", "positions in trace.hops"),
        ([("One.", [None])], "('One.', [None])", "positions in trace.hops"),
        ([(1, [0])], "(1, [0])", "a sentence"),
        ([""], "''", "a sentence"),
        ([b"x" * 900], "b'xxx", "a sentence"),
    ],
)
def test_what_is_no_finding_is_told(said: Any, shown: str, wrong: str) -> None:
    invariant("mine")(lambda trace: said)
    (found,) = long().check()
    assert found.name == "mine"
    assert found.sentence.startswith(f"The invariant 'mine' gave {shown}")
    assert f"in which {wrong}" in found.sentence
    assert "let it give a sentence" in found.sentence
    assert len(found.sentence) < 350


def test_one_that_raises_is_one_finding_and_the_others_are_asked() -> None:
    @invariant("broken")
    def broken(trace: Trace) -> Iterator[str]:
        yield "Before."
        raise KeyError("x")

    @invariant("another")
    def another(trace: Trace) -> list[str]:
        return ["After."]

    found = lossy().check()
    assert [f.name for f in found] == ["conservation", "broken", "broken", "another"]
    assert found[1].sentence == "Before."
    assert found[2].sentence.startswith(
        "The invariant 'broken' could not be asked: it raised KeyError: 'x' (line "
    )
    assert found[2].sentence.endswith(" of broken).")


def test_one_that_asserts_says_why_in_its_own_words() -> None:
    @invariant("mine")
    def mine(trace: Trace) -> None:
        assert not trace.hops, "there are hops"

    (found,) = long().check()
    assert found.sentence.startswith("The invariant 'mine' could not be asked: it raised Assertion")


def test_an_interrupt_goes_through() -> None:
    def impatient(trace: Trace) -> None:
        raise KeyboardInterrupt

    invariant("mine")(impatient)
    with pytest.raises(KeyboardInterrupt):
        long().check()


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 100, 3, None, long])
def test_a_name_is_a_few_words(name: Any) -> None:
    with pytest.raises(WiringError, match="an invariant needs a name of a few words"):
        invariant(name)


def test_the_labs_own_keep_their_names_and_stay() -> None:
    for name in (*invariants(), "complete"):
        with pytest.raises(WiringError, match="one of the lab's own invariants"):
            invariant(name)
    with pytest.raises(WiringError, match="one of the lab's own invariants"):
        forget("order")


def test_what_is_no_function_is_no_invariant() -> None:
    with pytest.raises(WiringError, match="an invariant is a function of a trace, not 3"):
        invariant("mine")(3)  # type: ignore[arg-type]


def test_a_name_that_is_not_known_is_an_error_that_shows_the_known_ones() -> None:
    with pytest.raises(WiringError, match=r"'ordr': do you mean 'order'\? There are conserv"):
        long().check(only="ordr")
    with pytest.raises(WiringError, match="there is no invariant 3"):
        long().check(only=[3])  # type: ignore[list-item]


def test_every_invariant_of_the_lab_says_what_it_asks() -> None:
    told = invariants()
    assert list(told) == [
        "conservation",
        "failures",
        "waiting",
        "answers",
        "order",
        "stages",
        "bypass",
        "declared links",
    ]
    assert all(text.endswith(".") and len(text) < 100 for text in told.values())
    doc = Trace.check.__doc__ or ""
    assert all(f"`{name}`" in doc for name in told)


def test_what_is_no_name_of_an_invariant_is_the_same_error() -> None:
    with pytest.raises(WiringError, match=r"there is no invariant 3\. There are conservation, "):
        long().check(only=3)  # type: ignore[arg-type]
