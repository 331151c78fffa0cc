"""Explore: schedules that break a check are found, shortened and told, each time the same."""

from __future__ import annotations

import functools
import io
import itertools
import logging
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bugs
import pytest

import pylm_lab as lab
from pylm_lab.choices import Operation
from pylm_lab.errors import Deadlock, Endless, RunError, WiringError
from pylm_lab.explore import Exploration, Progress, explore
from pylm_lab.explore.judge import ask
from pylm_lab.explore.runs import Choice, Delay, delays, fingerprint
from pylm_lab.explore.strategies import along, delayed, orders, plain, positions, priorities
from pylm_lab.rerun import replay
from pylm_lab.scenarios import Greeter
from pylm_lab.trace import Finding, Trace

BY_NAME = {bug.play.__name__: bug for bug in bugs.BUGS}


@functools.cache
def found_in(name: str) -> Exploration:
    """What explore finds in this bug, for all tests that look at it."""
    return explore(BY_NAME[name].play, BY_NAME[name].check, seed=1)


# ---------------------------------------------------------------------------------- the four bugs


@pytest.mark.parametrize("name", BY_NAME)
def test_a_bug_is_found_within_a_minute_and_made_short(name: str) -> None:
    """The test itself ends after a minute."""
    bug, found = BY_NAME[name], found_in(name)
    assert found
    assert found.trace is not None
    assert found.first is not None
    assert bug.hops <= len(found.trace.hops) <= 2 * bug.hops
    assert len(found.trace.hops) < len(found.first.hops)
    assert 1 <= len(found.delays) <= 3
    assert found.why
    # The short run is one that can be run again, and does the same as far as it goes.
    again = replay(found.trace, lambda cluster: bug.play(cluster, **found.options))
    assert again.trace.events[: len(found.trace.events)] == found.trace.events


@pytest.mark.parametrize("bug", bugs.BUGS, ids=BY_NAME)
def test_free_runs_hardly_ever_show_a_bug(bug: bugs.Bug, scale: int) -> None:
    """`python tests/bugs.py` does a thousand."""
    assert bugs.shown_freely(bug, 10 * scale) <= 2 * scale


def test_the_why_of_an_assert_is_its_sentence() -> None:
    found = found_in("loses_an_update")
    assert found.why.splitlines()[0] == "AssertionError: 2 were loud, and 1 were counted"
    assert isinstance(found.error, AssertionError)
    assert found.findings == ()
    assert found.options == {"messages": 2, "workers": 2}


def test_the_why_of_a_deadlock_is_who_waits_for_whom() -> None:
    found = found_in("deadlocks")
    assert isinstance(found.error, Deadlock)
    assert found.error.waits is not None
    assert "server.Deal" in found.error.waits.cycle
    assert "Round and round" in found.why
    assert found.options == {"messages": 2, "lookups": 1}


def test_the_why_of_a_check_is_what_it_finds() -> None:
    found = found_in("answers_twice")
    assert found.why.endswith("sent an answer that nobody waited for.")
    assert [finding.sentence for finding in found.findings] == [found.why]
    assert found.error is None


def test_a_short_run_ends_where_the_check_is_broken() -> None:
    found = found_in("answers_twice")
    assert found.trace is not None
    assert list(bugs.one_answer_each(found.trace))
    assert list(bugs.one_answer_each(replace(found.trace, events=found.trace.events[:-1]))) == []
    assert all(event.what != "stop" for event in found.trace.events)


# --------------------------------------------------------------------------------- the same again

SCRIPT = """
import sys
from pylm_lab.explore import explore

def check(trace):
    \"""Worker 2 is never the first to answer.\"""
    first = [hop.source for hop in trace.hops if hop.target == "server.WorkerPull"][:1]
    return first != ["worker2"]

found = explore("parallel", check, seed=3, budget=200, messages=4)
assert found
print(repr(found), found.delays)
found.trace.save(sys.argv[1])
found.first.save(sys.argv[2])
"""


def test_the_same_budget_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    """In several processes, whatever the order of their sets."""
    told, traces = set(), set()
    for hash_seed in "123":
        paths = [tmp_path / f"{name}{hash_seed}.jsonl" for name in ("short", "first")]
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *map(str, paths)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        )
        told.add(done.stdout)
        traces.add(tuple(path.read_bytes() for path in paths))
    assert len(told) == 1
    assert len(traces) == 1


def test_another_seed_tries_other_orders() -> None:
    def tried(seed: int) -> list[list[tuple[str, str]]]:
        orders: list[list[tuple[str, str]]] = []

        def note(trace: Trace) -> None:
            orders.append([(event.actor, event.what) for event in trace.events])

        explore("parallel", note, budget=8, seed=seed, messages=3)
        return orders

    one, two = tried(1), tried(2)
    assert tried(1) == one
    assert one[0] == two[0]  # the plain one
    assert one[1:4] != two[1:4]


# ---------------------------------------------------------------------------------- nothing found


def test_nothing_found_says_how_much_was_tried_and_that_it_is_no_proof() -> None:
    found = explore("parallel", budget=30, seed=5, messages=3)
    assert not found
    assert (found.schedules, found.trace, found.why) == (30, None, "")
    assert 5 < found.distinct <= 30
    assert repr(found) == (
        "Exploration of 'parallel': no schedule broke the check\n"
        f"  schedules  30 of at most 30, {found.distinct} of them distinct\n"
        "  found      nothing. That is no proof: an order that was not tried may break it\n"
        "  seed       5"
    )


def test_a_play_without_choices_has_one_schedule() -> None:
    found = explore(lambda cluster: cluster.add(lab.Master("server")), budget=6)
    assert (found.schedules, found.distinct, bool(found)) == (6, 1, False)


def test_orders_are_the_same_if_each_actor_does_the_same() -> None:
    """Two that do not touch each other may go in either order."""
    trace = lab.scenarios["parallel"].run(seed=1, messages=2)
    events = list(trace.events)
    n = next(n for n, e in enumerate(events) if e.actor != events[n + 1].actor)
    events[n], events[n + 1] = events[n + 1], events[n]
    later = tuple(replace(event, at=event.at + 7, clock=event.clock + 1) for event in events)
    assert fingerprint(replace(trace, events=later)) == fingerprint(trace)
    own = [n for n, event in enumerate(events) if event.actor == "server.router"]
    events[own[-1]], events[own[-3]] = events[own[-3]], events[own[-1]]
    assert fingerprint(replace(trace, events=tuple(events))) != fingerprint(trace)
    assert fingerprint(lab.scenarios["parallel"].run(seed=1, messages=3)) != fingerprint(trace)


# --------------------------------------------------------------------- what breaks, and whose it is


def greet(cluster: lab.Cluster, messages: int = 3) -> list[bytes]:
    """A client, a master and a worker."""
    cluster.add(lab.Master("server"))
    cluster.add(Greeter("worker1", server="server"))
    client = cluster.client("server")
    return list(client.job("server.foo", [b"x"] * messages, messages=messages))


def test_what_breaks_in_the_plain_order_is_found_at_once() -> None:
    def never(trace: Trace) -> str:
        return "It is Monday." if any(hop.target == "worker1" for hop in trace.hops) else ""

    found = explore(greet, never)
    assert (found.schedules, found.why, found.options) == (1, "It is Monday.", {"messages": 1})
    assert found.delays == ()
    assert "nobody: the plain order breaks it" in repr(found)


def test_a_check_that_only_the_end_can_answer_is_not_asked_before() -> None:
    """Half a run has not got all answers either, and that is no violation."""

    def all_answered(trace: Trace) -> bool:
        last = [hop.target for hop in trace.hops if hop.kind == "message"][-1:]
        return last == ["client"] and not late(trace)

    def late(trace: Trace) -> bool:
        """Something came to the client before it had sent all."""
        kinds = [e.what for e in trace.events if e.actor == "client" and e.kind == "message"]
        return kinds != sorted(kinds, reverse=True)

    found = explore(greet, all_answered, seed=2)
    assert found.options == {"messages": 2}
    assert found.trace is not None
    assert found.trace.events[-1].what in ("stop", "disconnect")
    assert found.findings[0].sentence == "The check says no."


def test_a_smaller_number_that_always_breaks_is_not_taken_for_the_rare_one() -> None:
    def picky(cluster: lab.Cluster, messages: int = 4, workers: int = 3) -> None:
        bugs.closes_early(cluster, messages, workers)
        assert messages >= 3, "too few"

    found = explore(picky)
    assert found.options == {"messages": 3, "workers": 2}
    assert "the total is" in found.why


def test_an_exception_of_the_play_is_a_violation() -> None:
    def impatient(cluster: lab.Cluster, messages: int = 3) -> None:
        raise KeyError(greet(cluster, messages)[0])

    found = explore(impatient, budget=3)
    assert isinstance(found.error, KeyError)
    assert found.why == "KeyError: b'worker1 processed x'"
    # The record is that of the moment: nothing had been stopped yet.
    assert found.trace is not None
    assert "stop" not in {event.what for event in found.trace.events}


def test_what_fails_before_anything_has_moved_is_for_the_user_to_mend() -> None:
    def wrong(cluster: lab.Cluster) -> None:
        cluster.client("server")

    with pytest.raises(WiringError, match="there is no server"):
        explore(wrong)
    with pytest.raises(TypeError, match="unexpected keyword"):
        explore(greet, worker=2)
    with pytest.raises(WiringError, match="has no option"):
        explore("parallel", worker=2)
    with pytest.raises(WiringError, match="did you mean 'parallel'"):
        explore("paralel")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"scenario": 3}, "3 is no scenario"),
        ({"budget": 0}, "budget=0"),
        ({"budget": 2.5}, "budget=2.5"),
        ({"seed": "a"}, "seed='a'"),
        ({"limit": 0}, "limit=0"),
        ({"messages": "three"}, "messages='three'"),
        ({"check": lambda trace: 3}, "the check returned 3"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(WiringError, match=text):
        explore(**{"scenario": greet, "budget": 2, **arguments})


def test_an_error_in_a_check_is_the_users_own() -> None:
    with pytest.raises(ZeroDivisionError):
        explore(greet, lambda trace: 1 // 0)


def test_a_run_without_an_end_is_a_violation() -> None:
    found = explore(greet, limit=80, messages=100)
    assert isinstance(found.error, Endless)


def test_what_can_not_be_repeated_is_told_so() -> None:
    runs = itertools.count(1)

    def moody(cluster: lab.Cluster) -> None:
        greet(cluster)
        if next(runs) == 3:
            raise RuntimeError("the third")

    found = explore(moody)
    assert found
    assert found.why.startswith("RuntimeError: the third\nBut in the same order again it does not")
    assert found.trace is found.first
    assert found.schedules == 3


FINDING = Finding("order", "It came late.", (1,))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, []),
        (True, []),
        (False, ["The check says no."]),
        ([], []),
        ("", []),
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        (FINDING, ["It came late."]),
        ([FINDING], ["It came late."]),
        (iter("ab"), ["a", "b"]),
        ([""], ["The check says no."]),
    ],
)
def test_what_a_check_may_say(said: object, found: list[str]) -> None:
    assert [finding.sentence for finding in ask(lambda trace: said, Trace())] == found


def test_an_assert_in_a_check_is_a_no() -> None:
    def check(trace: Trace) -> None:
        assert trace.events, "nothing happened"

    def one_by_one(trace: Trace) -> Iterator[str]:
        check(trace)
        yield "never said"

    for each in (check, one_by_one):
        (finding,) = ask(each, Trace())
        assert finding.sentence.startswith("nothing happened")


# ------------------------------------------------------------------------------------------ orders


def possible(*actors: str) -> list[Operation]:
    return [Operation(actor, "send") for actor in actors]


def run(choose: Callable[[list[Operation]], int], **left: int) -> str:
    """Each actor can always move, until it has as often as it may; who did, in order."""
    did = ""
    while any(left.values()):
        options = possible(*(actor for actor, more in left.items() if more))
        did += options[choose(options)].actor
        left[did[-1]] -= 1
    return did


def test_the_plain_order_does_the_first_thing_that_is_possible() -> None:
    assert run(plain, a=3, b=2, c=1) == "aaabbc"


def test_whoever_is_delayed_moves_after_all_others_from_there_on() -> None:
    assert run(delayed([1]), a=3, b=2, c=1) == "abbcaa"
    assert run(delayed([1, 2]), a=3, b=2, c=1) == "abcaab"


def test_with_priorities_one_moves_until_it_is_done_or_a_change_comes() -> None:
    def blocks(changes: int, seed: int) -> int:
        order = priorities(random.Random(seed), changes, 12, by_port=False)
        return len(list(itertools.groupby(run(order, a=4, b=4, c=4))))

    assert {blocks(0, seed) for seed in range(50)} == {3}
    assert {blocks(1, seed) for seed in range(50)} == {3, 4}
    assert max(blocks(3, seed) for seed in range(50)) == 6


def test_a_half_of_the_budget_is_at_random_and_the_rest_systematic() -> None:
    choices = [Choice(n, ("a", "send", ""), (), 1 + n % 2) for n in range(4)]
    told = [order.told for order in orders(0, 20, lambda: choices)]
    assert len(told) == 20
    assert told[0] == "in the plain order"
    assert all("random" in one for one in told[1:10])
    assert told[10:12] == ["in the plain order with one delay"] * 2
    assert told[12:14] == ["in the plain order with two delays"] * 2
    # Then there are none left.
    assert all("random" in one or "two delays" in one for one in told[14:])
    assert "random" in told[-1]


@pytest.mark.parametrize("budget", [1, 2, 3, 7])
def test_a_small_budget_is_kept(budget: int) -> None:
    assert explore(greet, budget=budget, messages=1).schedules == budget


def test_an_order_goes_along_names_or_positions_as_far_as_it_can() -> None:
    names = [(actor, "send", "") for actor in "cxbc"]
    assert run(along(names, plain), a=2, b=1, c=2) == "cbcaa"
    assert run(positions([2, 5, 0]), a=2, b=1, c=2) == "ccaab"


def test_what_several_pass_has_waited_once() -> None:
    a, b, c = ((actor, "send", f"{actor}:push") for actor in "abc")
    choices = [Choice(1, b, (a,), 3), Choice(2, c, (a,), 2), Choice(5, a, (), 1)]
    assert delays(choices) == [Delay(a, 1, 5)]
    assert (
        str(delays(choices)[0])
        == "a could send at its port push from step 1 on, and did at step 5."
    )
    assert str(delays(choices[:2])[0]).endswith("from step 1 on, and never did.")


# ---------------------------------------------------------------------------------- what is told


def test_progress_tells_how_far_it_is() -> None:
    heard: list[Progress] = []
    found = explore(bugs.closes_early, progress=heard.append, budget=100, messages=3, workers=2)
    searching = [one for one in heard if not one.shortening]
    assert [one.schedules for one in searching] == list(range(1, found.schedules + 1))
    assert heard[-1].shortening == found.shortening
    assert {one.budget for one in heard} == {100}
    assert str(searching[1]).startswith("closes_early: 2 of 100 schedules, ")
    assert "the last breaks the check; 1 run to shorten" in str(heard[found.schedules])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_where_somebody_looks_one_line_is_rewritten_and_wiped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    explore(greet, budget=3)
    *lines, last = terminal.getvalue().split("\r")[1:]
    assert lines[0] == "… greet: 1 of 3 schedules, 1 of them distinct"
    assert len(lines) == 4
    assert lines[-1].strip() == last == ""


@pytest.mark.parametrize("progress", [True, False])
def test_where_nobody_looks_nothing_is_said(
    progress: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    explore(greet, budget=2, progress=progress)
    assert capsys.readouterr() == ("", "")


def test_the_log_is_told_of_the_first_run_only(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            raise ValueError(payload)

    def fails(cluster: lab.Cluster) -> None:
        cluster.add(lab.Master("server"))
        cluster.add(Failing("worker1", server="server"))
        assert cluster.client("server", errors="return").eval("server.foo", b"x") == b"0"

    explore(fails, budget=4)
    assert len([record for record in caplog.records if "failed" in record.message]) == 1
    assert logging.getLogger("pylm_lab").propagate


def test_it_is_told_in_a_notebook_as_it_is_in_words() -> None:
    found = Exploration(
        scenario="<b>", seed=1, budget=9, schedules=2, distinct=2, why="a < b\nc", options={"n": 1}
    )
    found = replace(found, trace=Trace(), first=Trace(), order="by luck", delays=("a & b.",) * 21)
    assert repr(found).splitlines() == [
        "Exploration of '<b>': a schedule breaks the check",
        "  why        a < b",
        "             c",
        "  schedules  2 of at most 9, 2 of them distinct",
        "  found      at schedule 2, by luck",
        "  seed       1",
        "  options    n=1",
        "  late       a & b.",
        *["             a & b."] * 19,
        "             and 1 more: see .delays",
        "  trace      0 hops of 0, shortened in 0 runs",
    ]
    shown = found._repr_html_()
    assert "<b>" not in shown
    assert shown.count("<tr>") == shown.count("</tr>") == 28
    assert "a &lt; b" in shown


# ----------------------------------------------------------------------------------- and its end


def test_ctrl_c_ends_it_and_leaves_nothing() -> None:
    """That nothing is left is what every test is looked at for."""
    runs = itertools.count(1)

    def interrupted(cluster: lab.Cluster) -> None:
        client = cluster.client(cluster.add(lab.Master("server")))
        cluster.add(Greeter("worker1"))

        def work() -> Iterator[bytes]:
            yield b"x"
            if next(runs) == 3:
                signal.raise_signal(signal.SIGINT)
            yield b"y"

        list(client.job("server.foo", work(), messages=2))

    with pytest.raises(KeyboardInterrupt):
        explore(interrupted)
    assert next(runs) == 4
    assert logging.getLogger("pylm_lab").propagate


def test_calls_that_overlap_are_explored_too() -> None:
    """Which of two clients is served first depends on the order, and on nothing else."""
    firsts: set[str] = set()

    def both(cluster: lab.Cluster) -> None:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1", server="server"))
        clients = [cluster.client("server") for _ in range(2)]
        calls = [cluster.start(client.eval, "server.foo", b"x") for client in clients]
        assert [call.result() for call in calls] == [b"worker1 processed x"] * 2

    def note(trace: Trace) -> None:
        firsts.add(next(hop.source for hop in trace.hops if hop.target == "server.Pull"))

    assert not explore(both, note, budget=30)
    assert firsts == {"client", "client2"}


def test_a_failure_of_a_server_is_a_violation() -> None:
    class Broken(lab.Master):
        def handle_stream(self, message: Any) -> tuple[str, Any]:
            raise SystemExit(3)

    def falls(cluster: lab.Cluster) -> None:
        cluster.add(Broken("server"))
        cluster.add(Greeter("worker1", server="server"))
        cluster.client("server").eval("server.foo", b"x")

    found = explore(falls, budget=2)
    assert isinstance(found.error, Deadlock | RunError)
