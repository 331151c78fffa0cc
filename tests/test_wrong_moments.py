"""What is asked of a run at the wrong moment, or from the wrong place: an error, never a hang."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import pytest

import pylm_lab as lab
from pylm_lab import faults
from pylm_lab.choices import Operation
from pylm_lab.errors import FunctionError, RunError, WiringError
from pylm_lab.scenarios import Greeter

pytestmark = pytest.mark.timeout(20)
MODES: list[dict[str, Any]] = [{}, {"seed": 1}]


def make(worker: type[lab.Worker] = Greeter, **options: Any) -> lab.Cluster:
    cluster = lab.Cluster(**options)
    cluster.add(lab.Master("server"))
    cluster.add(worker("worker1"))
    return cluster


def test_a_schedule_may_look_at_what_is_pending_and_moves_nothing() -> None:
    seen: list[str] = []

    def schedule(possible: Sequence[Operation]) -> int:
        seen.append(cluster.pending[0].sentence)
        with pytest.raises(RunError, match="a schedule can't move the cluster"):
            cluster.step()
        return 0

    with make(schedule=schedule) as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        assert task.result() == b"worker1 processed x"
    assert "worker1 receives message 1 from WorkerPush." in seen


def test_who_waits_when_an_actor_is_stopped_in_a_controlled_run_is_told() -> None:
    class Leaves(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            self.stop()
            return payload

    with make(Leaves, seed=1) as cluster:
        client = cluster.client()
        with pytest.raises(RunError, match="client waits in vain: somebody was stopped"):
            client.eval("server.foo", b"x", timeout=5)


@pytest.mark.parametrize("mode", MODES)
def test_who_takes_part_can_not_stop_the_cluster(
    mode: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Stops(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            cluster.stop()
            return payload

    with make(Stops, **mode) as cluster:
        client = cluster.client()
        with pytest.raises(FunctionError, match="RunError: worker1 can't stop"):
            client.eval("server.foo", b"x")
        assert "worker1 can't stop the cluster that it is part of" in caplog.text
        assert client.eval("server.echo", b"goes on") == b"goes on"
        task = cluster.start(cluster.stop)
        with pytest.raises(RunError, match="call 1 can't stop the cluster"):
            task.result()


@pytest.mark.parametrize("mode", MODES)
def test_several_threads_may_stop_a_cluster_at_once(mode: dict[str, Any], scale: int) -> None:
    for _ in range(5 * scale):
        cluster = make(**mode)
        cluster.client()
        others = [] if mode else [threading.Thread(target=cluster.stop) for _ in range(3)]
        for thread in others:
            thread.start()
        assert cluster.stop()
        for thread in others:
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.parametrize("mode", [*MODES, {"faults": [faults.drop("a→b")]}])
def test_a_value_may_be_whatever_bytes(mode: dict[str, Any]) -> None:
    with make(**mode) as cluster:
        client = cluster.client(timeout=5)
        client.set(b"\xfflost", "key")
        assert client.get("key") == b"\xfflost"


def test_a_fault_that_names_nobody_can_be_taken_back() -> None:
    with make() as cluster:
        wrong = cluster.inject(faults.drop("WorkerPsh→worker1"))
        with pytest.raises(WiringError, match="did you mean 'WorkerPush'"):
            cluster.client()
        cluster.heal(wrong)
        assert cluster.client().eval("server.foo", b"x") == b"worker1 processed x"
    with pytest.raises(RunError, match="the cluster has ended"):
        cluster.heal(wrong)


def test_a_call_that_moves_the_others_ends_when_the_cluster_does() -> None:
    cluster = make(schedule="stepped")
    cluster.client()
    task = cluster.start(cluster.run)
    assert cluster.stop()
    with pytest.raises(RunError, match="can do nothing more"):
        task.result()


def test_a_move_tells_of_the_fault_that_struck_at_its_own_step() -> None:
    with make(seed=1, faults=[faults.corrupt("WorkerPush→worker1", value=b"y")]) as cluster:
        client = cluster.client()
        assert client.eval("server.foo", b"x") == b"worker1 processed y"
        cluster.start(client.eval, "server.foo", b"x")
        told = [move.sentence for move in cluster.run() if move.actor == "worker1"]
        assert told[0] == "worker1 receives message 2 from WorkerPush."
        cluster.inject(faults.drop("Pub→client"))
        cluster.start(client.eval, "server.foo", b"x", timeout=5)
        told = [move.sentence for move in cluster.run() if move.actor == "client"]
        assert "client receives message 3 from Pub, or would: a rule drops the 1st message." in told


def test_a_cluster_whose_call_was_given_it_can_be_forgotten() -> None:
    cluster: lab.Cluster | None = make(seed=1)
    assert cluster is not None
    task = cluster.start(lambda one: one.client().eval("server.foo", b"x"), cluster)
    assert task.result() == b"worker1 processed x"
    gone = weakref.ref(cluster)
    del cluster
    gc.collect()
    assert gone() is None


def test_a_port_forgets_faults_when_there_are_none_any_more() -> None:
    with make() as cluster:
        client = cluster.client()
        cut = cluster.inject(faults.drop("WorkerPush→worker1", nth=1000))
        client.eval("server.foo", b"x")
        assert client.sub.faults is not None
        cluster.heal(cut)
        client.eval("server.foo", b"x")
        assert client.sub.faults is None
