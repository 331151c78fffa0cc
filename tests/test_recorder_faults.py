"""A fault in the recorder stays in the recorder, and its ring stays small and counts all."""

from __future__ import annotations

import inspect
import logging
import threading
from collections import Counter
from typing import Any

import pytest
from builder import Build

import pylm_lab as lab
from pylm_lab.bench.memory import held
from pylm_lab.draw.layout import router_scene
from pylm_lab.errors import RunError
from pylm_lab.hook import Hook, Port
from pylm_lab.trace import Recorder, Trace
from pylm_lab.trace.show.gaps import gaps

#: Everything that a recorder can be told.
METHODS = [
    name
    for name, value in vars(Recorder).items()
    if inspect.isfunction(value) and name in vars(Hook) and not name.startswith("_")
]
#: What a run of a master with workers tells its recorder, in a free run and in a seeded one.
TOLD = {
    "actor_declared",
    "port_declared",
    "route_declared",
    "port_bound",
    "port_connected",
    "port_disconnected",
    "topic_subscribed",
    "topic_unsubscribed",
    "subscription_seen",
    "actor_started",
    "actor_stopped",
    "hops_sent",
    "hops_received",
}
#: Of what comes often, the third one fails: there is something to tell by then.
LATE = {"hops_sent": 3, "hops_received": 3, "decided": 40}


class BrokenError(Exception):
    """What the recorder raises."""


def answered(seed: int | None) -> tuple[lab.Cluster, list[bytes]]:
    with lab.Cluster(seed=seed) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(lab.Worker("worker1", server="server"))
        cluster.add(lab.Worker("worker2", server="server"))
        client = cluster.client("server", timeout=20)
        payloads = [b"message %d" % n for n in range(40)]
        answers = list(client.job("server.echo", payloads, messages=40))
    return cluster, answers


def broken(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Let the recorder's method raise from its n-th call on; the threads that called it so."""
    heard: list[str] = []
    whole = getattr(Recorder, name)

    def fail(self: Recorder, *args: Any) -> None:
        heard.append(threading.current_thread().name)
        if len(heard) >= LATE.get(name, 1):
            raise BrokenError(f"in {name}")
        whole(self, *args)

    monkeypatch.setattr(Recorder, name, fail)
    return heard


def says_so(trace: Trace) -> None:
    """It does not pass as complete."""
    assert trace.cut
    (sentence,) = gaps(trace)
    assert "early." in sentence
    assert "early" in repr(trace)
    for actor in trace.actors:
        stopped = any(e.what == "stop" and e.actor == actor.id for e in trace.events)
        assert stopped or actor.id in trace.cut
    if any(actor.server for actor in trace.actors):
        assert sentence in router_scene(trace).alt


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("name", METHODS)
def test_a_fault_in_the_recorder_never_touches_the_run(
    name: str,
    seed: int | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    _, whole = answered(seed)
    heard = broken(monkeypatch, name)
    cluster, answers = answered(seed)
    if seed is None:
        # Two workers race.
        whole, answers = sorted(whole), sorted(answers)
    assert answers == whole
    recorder = cluster._recorder
    if name not in TOLD and not (name == "decided" and seed is not None):
        assert heard == []
        assert recorder.failed is None
        assert cluster.trace.cut == ()
        return
    assert str(recorder.failed) == f"in {name}"
    lines = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert [r.getMessage().endswith(f"failed in {name} and was removed") for r in lines] == [True]
    if name == "actor_declared":
        with pytest.raises(
            RunError, match=r"nothing was recorded: .*\(BrokenError: in actor_declared\)"
        ):
            cluster.trace  # noqa: B018 - it is asked for
    else:
        says_so(cluster.trace)
        assert cluster.trace is cluster.trace


def test_several_threads_may_meet_the_fault_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They wait for each other in the middle of it, so each is in it before it is removed."""
    meeting = threading.Barrier(2)
    met: list[str] = []

    def fail(self: Recorder, *args: Any) -> None:
        met.append(threading.current_thread().name)
        try:
            meeting.wait(20)
        finally:
            raise BrokenError("in several")

    monkeypatch.setattr(Recorder, "actor_started", fail)
    cluster, answers = answered(None)
    assert len(answers) == 40
    assert len(set(met)) > 1
    assert isinstance(cluster._recorder.failed, BrokenError)
    lines = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(lines) == 1
    says_so(cluster.trace)


def test_a_record_is_whole_again_for_who_had_ended_before() -> None:
    build = Build().master()
    build.run(1)
    build.hook.actor_stopped("client", build.tick())
    assert build.trace.cut == ()
    build.recorder.failed = BrokenError("late")
    cut = build.trace.cut
    assert cut
    assert "client" not in cut
    assert "server.Pull" in cut


def test_a_fault_after_all_have_ended_is_told_too() -> None:
    build = Build().master()
    build.run(1)
    build.end()
    build.recorder.failed = BrokenError("very late")
    assert build.trace.cut == tuple(actor.id for actor in build.trace.actors)


# ---------------------------------------------------------------------------------------- the ring


class Counting(Hook):
    """Counts what a recorder is told that it keeps as an event."""

    def __init__(self) -> None:
        self.mutex = threading.Lock()
        self.events = 0
        self.hops: Counter[tuple[str, str]] = Counter()

    def _one(self, *_: Any, **__: Any) -> None:
        with self.mutex:
            self.events += 1

    port_bound = port_connected = port_disconnected = _one
    topic_subscribed = topic_unsubscribed = subscription_seen = _one
    actor_started = actor_stopped = actor_failed = _one

    def _many(self, what: str, port: Port, count: int) -> None:
        with self.mutex:
            self.events += count
            self.hops[port.id, what] += count

    def hops_sent(self, port: Port, batch: list[list[bytes]], at: Any) -> None:
        self._many("send", port, len(batch))

    def hops_received(self, port: Port, batch: list[list[bytes]], at: Any) -> None:
        self._many("receive", port, len(batch))

    def hop_dropped(self, port: Port, frames: list[bytes], cause: str, at: int) -> None:
        self._many("drop", port, 1)


def ring(messages: int, limit: int = 1000) -> tuple[Recorder, Counting]:
    recorder, counting = Recorder(limit=limit), Counting()
    with lab.Cluster(record=False) as cluster:
        cluster.attach(recorder)
        cluster.attach(counting)
        cluster.add(lab.Master("server", log_level=logging.WARNING))
        cluster.add(lab.Worker("worker1", server="server"))
        client = cluster.client("server", timeout=60)
        payloads = (b"message %d" % n for n in range(messages))
        found = sum(1 for _ in client.job("server.echo", payloads, messages=messages))
    assert found == messages
    assert recorder.failed is None
    return recorder, counting


@pytest.mark.timeout(180)
def test_a_ring_stays_as_small_as_it_is_and_counts_exactly() -> None:
    small, _ = ring(3_000)
    large, counting = ring(100_000)
    assert sum(held(large)) < 1.5 * sum(held(small))
    trace = large.trace
    assert counting.events > 1_600_000
    assert len(trace.events) + trace.forgotten == counting.events
    assert large.dropped <= trace.forgotten
    assert large.totals() == counting.hops
    # Of each actor the last 1,000 events, and no more than a batch beyond.
    own = Counter(event.actor for event in trace.events)
    assert max(own.values()) < 1_000 + 1_000
    assert f"{trace.forgotten:,} earlier events are forgotten." in router_scene(trace).alt


def test_what_a_ring_keeps_can_be_asked_for_while_it_goes_round() -> None:
    recorder = Recorder(limit=50)
    done = threading.Event()
    traces: list[Trace] = []

    def ask() -> None:
        while not done.is_set():
            traces.append(recorder.trace)

    with lab.Cluster(record=False) as cluster:
        cluster.attach(recorder)
        cluster.add(lab.Master("server", log_level=logging.WARNING))
        cluster.add(lab.Worker("worker1", server="server"))
        client = cluster.client("server", timeout=60)
        asking = threading.Thread(target=ask)
        asking.start()
        try:
            assert (
                sum(1 for _ in client.job("server.echo", [b"x"] * 5_000, messages=5_000)) == 5_000
            )
        finally:
            done.set()
            asking.join(20)
    assert traces
    gone = [trace.forgotten for trace in traces]
    assert recorder.trace.forgotten >= recorder.dropped > 1_000
    assert max(gone) <= recorder.trace.forgotten
