"""Nothing moves any more, or not in time: who waited for whom is in the error."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import pylm_lab as lab
from pylm_lab import faults
from pylm_lab.errors import Deadlock, NoAnswer


def waits_of(cluster: lab.Cluster, *parts: str) -> list[str]:
    """Who waits, in sentences, as soon as each of these parts of them is there."""
    pause = threading.Event()
    found: list[str] = []
    for _ in range(1000):
        found = [str(wait) for wait in cluster.waiting()]
        if all(any(part in text for text in found) for part in parts):
            return found
        pause.wait(0.005)
    raise AssertionError(f"{parts} never all in {found}")


@pytest.mark.parametrize("options", [{"seed": 1}, {"schedule": lambda possible: 0}])
def test_a_deadlock_has_who_waits_on_whom(options: dict[str, Any]) -> None:
    with lab.Cluster(**options) as cluster:
        cluster.add(lab.Master("server"))
        client = cluster.client()
        with pytest.raises(Deadlock) as caught:
            client.eval("server.foo", b"x")
        waits = caught.value.waits
        assert waits is not None
        assert client.id not in {wait.actor for wait in cluster.waiting()}  # its call has ended
    assert str(waits) in str(caught.value)
    assert {wait.actor: wait.on for wait in waits.blocked} == {
        "client": ("server.Pub",),
        "server.WorkerPush": (),
    }
    assert (waits.cycle, {wait.unit for wait in waits}) == ((), {"steps"})


@pytest.mark.parametrize("seed", range(3))
def test_a_deadlock_tells_nothing_of_the_machine_s_clock(seed: int) -> None:
    class Asking(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            return self.get("key") or b"nothing"

    with lab.Cluster(seed) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Asking("worker1"))
        client = cluster.client()
        cluster.inject(faults.drop("Cache→worker1"))
        with pytest.raises(Deadlock) as caught:
            client.eval("server.foo", b"x")
    waits = caught.value.waits
    assert waits is not None
    assert {wait.actor: wait.unit for wait in waits}["worker1"] == "steps"
    assert " s." not in str(caught.value)


def test_a_timeout_of_a_free_run_tells_who_waited_when_it_was_over() -> None:
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        client = cluster.client()
        for how in (client.eval, lambda *args, **more: list(client.job(args[0], [b"x"], **more))):
            with pytest.raises(NoAnswer) as caught:
                how("server.foo", b"x", timeout=0.1)
            waits = caught.value.waits
            assert waits is not None
            own = waits.of("client")
            assert own is not None
            assert (own.on, own.unit, own.lasting, own.idle) == (("server.Pub",), "s", 0.1, False)
            (push,) = [wait for wait in waits.blocked if wait.actor == "server.WorkerPush"]
            assert "room to send" in push.what
            assert {"server.router", "server.Pull"} <= {wait.actor for wait in waits.idle}


def test_a_timeout_of_a_client_on_its_own_has_nobody_to_tell_of() -> None:
    with lab.Master("server") as server:
        cache = server.bypass_components["Cache"].listen_to.address
        with lab.Client("server", cache) as client:
            with pytest.raises(NoAnswer) as caught:
                client.eval("server.foo", b"x", timeout=0.05)
            assert caught.value.waits is None


@pytest.mark.parametrize("options", [{}, {"schedule": "stepped"}])
def test_another_thread_can_ask_who_waits_while_a_call_does(options: dict[str, Any]) -> None:
    found: list[str] = []
    with lab.Cluster(**options) as cluster:
        cluster.add(lab.Master("server"))
        cluster.start(cluster.client().eval, "server.foo", b"x")
        if options:
            with pytest.raises(Deadlock):
                cluster.run()

        def look() -> None:
            found.extend(waits_of(cluster, "client waits for a message at client:sub", "room"))

        thread = threading.Thread(target=look)
        thread.start()
        thread.join(20)
        assert any("server.WorkerPush waits for room to send" in text for text in found)
