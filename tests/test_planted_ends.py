"""Whom a fault ends and what becomes of what it had; which messages are struck, and since when."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from planted import SEEDS, N, came, events, named, ran

import pylm_lab as lab
from pylm_lab import faults
from pylm_lab.errors import NoAnswer, RunError
from pylm_lab.faults import Fault
from pylm_lab.scenarios import Greeter

# --------------------------------------------------------------------------------- ended by a fault

ACTORS = ["Pull", "router", "WorkerPush", "worker1", "WorkerPull", "Pub", "client"]


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("seed", [None, 1])
def test_whoever_is_stopped_ends_and_nobody_fails(actor: str, seed: int | None) -> None:
    trace, answers, error = ran(faults.stop(actor, nth=3), seed=seed, timeout=0.3)
    assert error is not None
    assert set(answers) < set(N)
    (struck,) = [n for n, event in enumerate(trace.events) if event.what == "fault"]
    who = trace.events[struck].actor
    assert trace.labels[who] == actor
    assert not [event for event in trace.events if event.what == "fail"]
    assert not [e for e in trace.events[struck:] if e.what == "receive" and e.actor == who]
    assert f"a fault stops {actor} before the 3rd message" in " ".join(named(trace))


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("seed", [None, 1])
def test_whoever_crashes_fails_and_a_part_takes_its_server_along(
    actor: str, seed: int | None
) -> None:
    trace, answers, error = ran(faults.crash(actor, nth=3), seed=seed, timeout=0.3)
    why = f"a fault crashes {actor} before the 3rd message"
    assert set(answers) < set(N)
    assert why in " ".join(named(trace))
    if actor == "worker1":
        assert isinstance(error, NoAnswer)
    else:
        assert isinstance(error, RunError)
        assert why in str(error)
    fails = [trace.labels[event.actor] for event in trace.events if event.what == "fail"]
    assert fails == ([] if actor == "client" else [actor])


@pytest.mark.parametrize("actor", ["Pull", "router", "WorkerPush"])
@pytest.mark.parametrize("end", [faults.stop, faults.crash])
def test_what_it_had_received_before_is_handed_on_or_given_up_by_name(
    end: Callable[..., Fault], actor: str
) -> None:
    for nth in range(2, 40, 4):
        trace, _, _ = ran(end(actor, nth=nth), seed=None, payloads=N * 20, timeout=0.3)
        own = [e for e in trace.events if e.actor == f"server.{actor}" and e.kind == "message"]
        had = {event.message for event in own if event.what == "receive"}
        gone = {event.message for event in own if event.what in ("send", "drop")}
        assert had
        assert not had - gone, f"the {nth}th: {len(had - gone)} of {len(had)} vanished"


def test_a_request_that_is_lost_with_its_cache_is_named() -> None:
    trace, _, error = ran(faults.crash("Cache", nth=4), timeout=1)
    assert error is not None
    assert any("Request r" in told and "crashes Cache" in told for told in named(trace))


def test_a_worker_that_can_not_begin_says_that_its_server_crashed() -> None:
    _, _, error = ran(faults.crash("Cache"), timeout=1)
    assert "a fault crashes Cache before the 1st message" in str(error)


def test_in_a_free_run_what_comes_later_is_for_the_other_worker() -> None:
    trace, answers, error = ran(
        faults.crash("worker1", nth=2), seed=None, workers=2, timeout=0.5, payloads=N * 5
    )
    lost = sum(len(f.hops) for f in trace.check() if f.name == "conservation")
    assert isinstance(error, NoAnswer)
    assert len(answers) + lost == 30
    assert len(error.missing) == lost


# ----------------------------------------------------------------------------- which, when, and who


def test_several_on_one_link_each_have_their_own() -> None:
    link = "client→Pull"
    planted = [faults.drop(link, nth=1), faults.duplicate(link, nth=2), faults.delay(link, nth=3)]
    trace, _, _ = ran(*planted, faults.corrupt(link, value=b"new", nth=4), timeout=5)
    assert came(trace, "server.Pull") == ["2", "2", "4", "5", "6", "3"]
    assert [e.excerpt for e in events(trace, "receive", "server.Pull")][2] == "new"
    trace, _, _ = ran(faults.corrupt(link, value=b"new"), faults.duplicate(link), timeout=5)
    pull = events(trace, "receive", "server.Pull")
    assert [event.excerpt for event in pull[:2]] == ["new", "new"]


@pytest.mark.parametrize("seed", [None, 1])
def test_what_is_planted_in_mid_run_counts_from_then_on(seed: int | None) -> None:
    with lab.Cluster(seed) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        client = cluster.client(timeout=0.5)
        for payload in N[:3]:
            client.eval("server.foo", payload)
        cluster.inject(faults.drop("Pub→client", nth=2))
        assert client.eval("server.foo", N[3])
        with pytest.raises(NoAnswer):
            client.eval("server.foo", N[4])
        assert cluster.faults == []
        assert client.eval("server.foo", N[5])
    (told,) = named(cluster.trace)
    assert told.startswith("Message 5 is lost between Pub and client")


@pytest.mark.parametrize("record", [True, False])
def test_a_fault_in_the_middle_of_a_job_of_a_free_run(record: bool) -> None:
    planted = [] if record else [faults.drop("*→worker1", nth=10**6)]
    with lab.Cluster(record=record, faults=planted) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        job = cluster.client(timeout=1).job("server.foo", [b"x"] * 1500, messages=1500)
        answers = [next(job) for _ in range(5)]
        cluster.inject(faults.drop("worker1→WorkerPull", nth=7))
        with pytest.raises(NoAnswer) as late:
            answers.extend(job)
    assert len(answers) == 1499
    assert len(late.value.missing) == 1
    assert len(named(cluster.trace)) == record


def test_a_running_cluster_that_nobody_records_takes_no_fault() -> None:
    with lab.Cluster(record=False) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        client = cluster.client(timeout=5)
        with pytest.raises(RunError, match=r"nobody records this run.*Cluster\(faults=\[…\]\)"):
            cluster.inject(faults.drop("Pub→client"))
        assert cluster.faults == []
        assert client.eval("server.foo", b"x") == b"worker1 processed x"


@pytest.mark.parametrize("seed", [None, 1])
def test_an_unrecorded_run_has_the_faults_that_it_was_made_with(seed: int | None) -> None:
    planted = faults.drop("WorkerPush→worker1", nth=2)
    trace, answers, error = ran(planted, seed=seed, record=False, timeout=1)
    assert (trace.events, answers) == ((), [b"1", *N[2:]])
    assert isinstance(error, NoAnswer)
    assert error.missing == (2,)


@pytest.mark.parametrize("seed", [None, 1])
def test_the_same_chance_strikes_the_same_messages(seed: int | None) -> None:
    def which(chance: float, of: int) -> list[int]:
        rule = faults.corrupt("client→Pull", value=b"!", chance=chance, seed=of)
        trace, _, _ = ran(rule, seed=seed, payloads=N * 10)
        got = events(trace, "receive", "server.Pull")
        return [n for n, event in enumerate(got) if event.excerpt == "!"]

    assert which(0.3, 7) == which(0.3, 7) != which(0.3, 8)
    assert 6 <= len(which(0.3, 7)) <= 32
    assert which(1, 7) == list(range(60))


@pytest.mark.parametrize("seed", [None, *SEEDS])
def test_by_hand_exactly_what_was_pending_is_dropped(seed: int | None) -> None:
    with lab.Cluster(seed, schedule="stepped") as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        client = cluster.client(timeout=5)
        task = cluster.start(lambda: list(client.job("server.foo", N, messages=6)))
        cluster.run_until(part="WorkerPush", message=2, kind="send")
        while not any((m.message, m.operation) == ("3", "receive") for m in cluster.pending):
            cluster.step()
        move = next(m for m in cluster.pending if (m.message, m.operation) == ("3", "receive"))
        cluster.inject(faults.drop(move.link))
        cluster.step(move)
        assert not cluster.faults
        cluster.run()
        with pytest.raises(NoAnswer) as late:
            task.result()
    assert late.value.missing == (3,)
    (told,) = named(cluster.trace)
    ends = " and ".join("the router" if e == "router" else e for e in move.link.split("→"))
    assert told.startswith(f"Message 3 is lost between {ends}:")
