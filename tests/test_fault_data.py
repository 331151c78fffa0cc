"""Faults as data: how they print and are read again, and what no fault can be made of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pylm_lab as lab
from pylm_lab import faults, wire
from pylm_lab.errors import RunError, WiringError
from pylm_lab.faults import Fault
from pylm_lab.scenarios import Greeter

NAMES = st.one_of(
    st.sampled_from(
        ["*", "worker1", "server.Pull", "it's", 'a "b"', "a\\n", "Überträger", "a-b>c"]
    ),
    st.text(
        st.characters(exclude_characters="→", exclude_categories=["Cs", "Zs", "Cc"]), min_size=1
    )
    .map(str.strip)
    .filter(lambda name: bool(name) and "->" not in name),
)
ACTORS = NAMES.filter(lambda name: name != "*")
LINKS = st.builds(lambda one, arrow, other: one + arrow + other, NAMES, st.just("→"), NAMES)
WHICH: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"nth": st.sampled_from([0, 1, 2, 11]) | st.integers(0, 10**9)}),
    st.fixed_dictionaries(
        {"chance": st.floats(0, 1, exclude_min=True), "seed": st.integers(0, 2**64)}
    ),
)
BY = st.floats(0, 1e9, exclude_min=True)
CHANGES = st.one_of(
    st.tuples(st.just("stage"), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.tuples(
        st.sampled_from([name for name in wire.FIELDS if name != "stage"]),
        st.sampled_from([b"", ""])
        | st.binary(max_size=20)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    ),
)
FAULTS = st.one_of(
    st.builds(lambda link, which: faults.drop(link, **which), LINKS, WHICH),
    st.builds(lambda link, which: faults.duplicate(link, **which), LINKS, WHICH),
    st.builds(lambda link, by, which: faults.delay(link, by=by, **which), LINKS, BY, WHICH),
    st.builds(lambda link, by, which: faults.reorder(link, by=by, **which), LINKS, BY, WHICH),
    st.builds(lambda link, to, which: faults.corrupt(link, *to, **which), LINKS, CHANGES, WHICH),
    st.builds(lambda actor, nth: faults.stop(actor, nth=nth), ACTORS, st.integers(1, 99)),
    st.builds(lambda actor, nth: faults.crash(actor, nth=nth), ACTORS, st.integers(1, 99)),
    st.builds(
        lambda ends, nth: faults.part(*ends, nth=nth),
        st.lists(ACTORS, min_size=2, max_size=2, unique=True),
        st.integers(0),
    ),
)


@given(FAULTS)
def test_every_fault_prints_itself_as_the_call_that_makes_it(fault: Fault) -> None:
    assert faults.parse(repr(fault)) == fault
    assert faults.parse(f"  faults.{fault!r}\n") == fault
    assert eval(repr(fault), {kind: getattr(faults, kind) for kind in faults.__all__}) == fault


@given(FAULTS)
def test_every_fault_tells_itself_in_words(fault: Fault) -> None:
    said = str(fault)
    assert said.startswith(f"{fault.why} ")
    assert fault.target in said
    assert fault.kind in ("stop", "crash") or fault.source in said


@pytest.mark.parametrize(
    ("fault", "printed", "said"),
    [
        (
            faults.drop("WorkerPush→worker1", nth=3),
            "drop('WorkerPush→worker1', nth=3)",
            "a rule drops the 3rd message on WorkerPush→worker1",
        ),
        (
            faults.delay("worker1 -> WorkerPull", by=2),
            "delay('worker1→WorkerPull', nth=1, by=2.0)",
            "a rule delays the 1st message by 2 s on worker1→WorkerPull",
        ),
        (
            faults.drop("*→worker2", chance=0.1, seed=7),
            "drop('*→worker2', chance=0.1, seed=7)",
            "a rule drops messages with a chance of 0.1 on *→worker2",
        ),
        (
            faults.corrupt("Pub→client", "stage", 0, nth=111),
            "corrupt('Pub→client', nth=111, field='stage', value=0)",
            "a rule changes the stage of the 111th message on Pub→client",
        ),
        (
            faults.reorder("client→server.Pull", nth=22),
            "reorder('client→server.Pull', nth=22, by=1.0)",
            "a rule lets the 22nd message be overtaken on client→server.Pull",
        ),
        (
            faults.crash("worker1", nth=2),
            "crash('worker1', nth=2)",
            "a fault crashes worker1 before the 2nd message that comes to it",
        ),
        (
            faults.part("worker1", "WorkerPull"),
            "part('worker1', 'WorkerPull')",
            "a fault parts worker1 and WorkerPull in both directions",
        ),
    ],
)
def test_faults_read_like_this(fault: Fault, printed: str, said: str) -> None:
    assert repr(fault) == printed
    assert str(fault) == said


@pytest.mark.parametrize("make", [faults.drop, faults.delay, faults.duplicate, faults.reorder])
def test_one_that_acts_on_each_is_another_than_one_that_acts_on_the_next(
    make: Callable[..., Fault],
) -> None:
    each, once = make("a→b", nth=0), make("a→b")
    assert (each.nth, once.nth) == (0, 1)
    assert repr(each) != repr(once)
    assert faults.parse(repr(each)).nth == 0


def test_nothing_may_be_put_into_a_field_and_is_read_again() -> None:
    empty = faults.corrupt("a→b", "payload", b"")
    assert faults.parse(repr(empty)).value == b""


def test_what_could_happen_next_names_a_link() -> None:
    with lab.Cluster(schedule="stepped") as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        client = cluster.client()
        cluster.start(client.eval, "server.foo", b"x")
        cluster.run_until(kind="message")
        move = next(move for move in cluster.pending if move.link == "client→Pull")
        assert faults.drop(move) == faults.drop("client→Pull")  # type: ignore[arg-type]


WRONG: list[tuple[Callable[..., object], tuple[Any, ...], dict[str, Any], str, str]] = [
    (faults.drop, ("worker1",), {}, "'worker1'", "two ends, such as"),
    (faults.drop, ("→worker1",), {}, "'→worker1'", "two ends, such as"),
    (faults.drop, ("worker1→ ",), {}, "'worker1→ '", "two ends, such as"),
    (faults.drop, (b"a->b",), {}, "b'a->b'", "two ends, such as"),
    (faults.drop, (None,), {}, "None", "two ends, such as"),
    (faults.drop, ("a→b",), {"nth": -1}, "nth=-1", "whole number"),
    (faults.drop, ("a→b",), {"nth": 1.0}, "nth=1.0", "whole number"),
    (faults.drop, ("a→b",), {"nth": True}, "nth=True", "whole number"),
    (faults.drop, ("a→b",), {"nth": "3"}, "nth='3'", "whole number"),
    (faults.drop, ("a→b",), {"nth": 1, "chance": 0.5}, "chance=0.5", "choose one"),
    (faults.duplicate, ("a→b",), {"chance": 0}, "chance=0", "above 0, up to 1"),
    (faults.duplicate, ("a→b",), {"chance": 1.01}, "chance=1.01", "above 0, up to 1"),
    (faults.duplicate, ("a→b",), {"chance": float("nan")}, "chance=nan", "above 0, up to 1"),
    (faults.duplicate, ("a→b",), {"chance": "half"}, "chance='half'", "above 0, up to 1"),
    (faults.duplicate, ("a→b",), {"chance": 0.5, "seed": -1}, "seed=-1", "whole number"),
    (faults.duplicate, ("a→b",), {"chance": 0.5, "seed": "x"}, "seed='x'", "whole number"),
    (faults.duplicate, ("a→b",), {"seed": "x"}, "seed='x'", "whole number"),
    (faults.delay, ("a→b",), {"by": 0}, "by=0", "more than 0"),
    (faults.delay, ("a→b",), {"by": None}, "by=None", "more than 0"),
    (faults.delay, ("a→b",), {"by": -2}, "by=-2", "seconds"),
    (faults.delay, ("a→b",), {"by": float("inf")}, "by=inf", "seconds"),
    (faults.reorder, ("a→b",), {"by": "1"}, "by='1'", "seconds"),
    (faults.corrupt, ("a→b", "payloads"), {}, "'payloads'", "pipeline, client, stage, function"),
    (faults.corrupt, ("a→b", ["payload"]), {}, "['payload']", "pipeline, client, stage, function"),
    (faults.corrupt, ("a→b", "stage", "2"), {}, "value='2'", "whole number"),
    (faults.corrupt, ("a→b", "stage", True), {}, "value=True", "whole number"),
    (faults.corrupt, ("a→b", "stage", 1 << 64), {}, str(1 << 64), "64"),
    (faults.corrupt, ("a→b", "cache", 2), {}, "value=2", "text or bytes"),
    (faults.corrupt, ("a→b", "cache", "\udc80"), {}, "\\udc80", "text or bytes"),
    (faults.stop, ("*",), {}, "'*'", "name an actor"),
    (faults.stop, ("",), {}, "''", "name an actor"),
    (faults.crash, (7,), {}, "7", "name an actor"),
    (faults.crash, ("worker1",), {"nth": -1}, "nth=-1", "whole number"),
    (faults.part, ("*", "worker1"), {}, "'*'", "name two actors"),
    (faults.part, ("worker1", ""), {}, "''", "name two actors"),
    (faults.parse, ("drop",), {}, "'drop'", "write drop("),
    (faults.parse, ("",), {}, "''", "write drop("),
    (faults.parse, ("drop('a→b'",), {}, "a→b", "write drop("),
    (faults.parse, ("drops('a→b')",), {}, "drops", "write drop("),
    (faults.parse, ("drop('a→b', often=3)",), {}, "often=3", "write drop("),
    (faults.parse, ("drop('a→b', nth=-1)",), {}, "nth=-1", "whole number"),
    (faults.parse, ("drop(*['a→b'])",), {}, "*['a→b']", "write drop("),
    (faults.parse, ("drop(**{'link': 'a→b'})",), {}, "**", "write drop("),
    (faults.parse, ("drop(" * 2000 + ")" * 2000,), {}, "drop(drop(", "write drop("),
    (faults.parse, ("drop('a→b\0')",), {}, "a→b", ""),
    (faults.parse, (b"drop('a->b')",), {}, "b\"drop('a->b')\"", "write drop("),
    (faults.parse, (None,), {}, "None", "write drop("),
]


@pytest.mark.parametrize(("make", "given_", "named", "value", "mend"), WRONG)
def test_a_wrong_argument_is_one_error_that_names_it_and_says_what_is_right(
    make: Callable[..., object],
    given_: tuple[Any, ...],
    named: dict[str, Any],
    value: str,
    mend: str,
) -> None:
    with pytest.raises(WiringError) as wrong:
        make(*given_, **named)
    assert value in str(wrong.value)
    assert mend in str(wrong.value)
    assert "\n" not in str(wrong.value)


@given(st.text(max_size=60) | FAULTS.map(lambda fault: repr(fault)[1:]))
def test_whatever_is_no_fault_is_said_to_be_none(text: str) -> None:
    with pytest.raises(WiringError):
        faults.parse(text)


#: Reads a text as a fault, and says what it has imported or opened meanwhile.
AUDITED = """
import sys
from pylm_lab import faults
from pylm_lab.errors import WiringError
heard = []
sys.addaudithook(lambda event, args: heard.append(event))
for text in sys.argv[1:]:
    try:
        print("made", faults.parse(text))
    except WiringError:
        pass
print([event for event in heard if event in ("exec", "import", "open", "os.system")])
"""


def test_reading_a_fault_executes_nothing() -> None:
    bad = "__import__('os').system('echo ran')"
    texts = [bad, f"drop({bad})", f"drop('a→b', nth={bad})", f"(lambda: {bad})()", "drop(f'{1}→b')"]
    ran = subprocess.run(
        [sys.executable, "-c", AUDITED, *texts],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (faults.drop("WorkerPsh→worker1"), "'WorkerPsh'; did you mean 'WorkerPush'"),
        (faults.delay("*→wroker1"), "'wroker1'; did you mean 'worker1'"),
        (faults.crash("server.Pul"), "'server.Pul'; did you mean 'server.Pull'"),
        (faults.part("worker1", "zzz"), "'zzz'; there are .*WorkerPush.*client"),
    ],
)
def test_a_fault_for_nobody_is_refused_and_the_nearest_name_told(fault: Fault, hint: str) -> None:
    with lab.Cluster(seed=1) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        cluster.client()
        with pytest.raises(WiringError, match=f"nobody is called {hint}"):
            cluster.inject(fault)
        assert cluster.faults == []


@pytest.mark.parametrize("seed", [None, 1])
def test_a_fault_for_nobody_is_refused_too_where_it_was_given_before_the_start(
    seed: int | None,
) -> None:
    planted = [faults.drop("WorkerPsh→worker1")]
    with (
        pytest.raises(WiringError, match="did you mean 'WorkerPush'"),
        lab.scenarios["parallel"].cluster(seed, faults=planted) as cluster,
    ):
        lab.scenarios["parallel"].play(cluster)


def test_what_is_no_fault_is_refused() -> None:
    with pytest.raises(WiringError, match=r"'drop' is no fault: make one with pylm_lab\.faults"):
        lab.Cluster(faults=["drop"])  # type: ignore[list-item]


def test_who_heals_what_was_never_planted_is_told_so() -> None:
    with lab.Cluster(seed=1) as cluster:
        planted = cluster.inject(faults.drop("a→b", nth=5))
        assert cluster.faults == [planted]
        with pytest.raises(WiringError, match=r"'c→d'.* is not planted: there is nothing to heal"):
            cluster.heal(faults.drop("c→d"))
        cluster.heal(planted)
        assert cluster.faults == []
        with pytest.raises(WiringError, match="nothing to heal"):
            cluster.heal(planted)


def test_an_ended_cluster_takes_no_fault() -> None:
    with lab.Cluster(seed=1) as cluster:
        pass
    with pytest.raises(RunError, match="has ended"):
        cluster.inject(faults.drop("a→b"))
