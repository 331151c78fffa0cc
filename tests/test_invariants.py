"""Invariants: a scenario breaks none, and whatever breaks one breaks exactly that one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import zmq
from builder import count_made
from planted import recorded

import pylm_lab as lab
from pylm_lab import faults
from pylm_lab.errors import LabError
from pylm_lab.faults import Fault
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.services import CacheService, PubService, PullService, PushPullService
from pylm_lab.scenarios import Greeter, get, names
from pylm_lab.trace import Trace, invariants

# --------------------------------------------------------------------------- none where all is well


@pytest.mark.parametrize("name", names())
def test_a_scenario_breaks_no_invariant(name: str, scale: int) -> None:
    scenario = get(name)
    seeds = [None] if scenario.free_only else [None, *range(1, 1 + 2 * scale)]
    for seed in seeds:
        trace = scenario.run(seed=seed)
        assert len(trace.hops) > 20
        assert trace.check() == [], f"seed {seed}"


# --------------------------------------------------------------------- what breaks each one of them


def faulty(scenario: str, *planted: Fault) -> Callable[[], Trace]:
    """A scenario with faults, run to its end, whatever its client says of it."""

    def run() -> Trace:
        made = get(scenario)
        with made.cluster(1, faults=planted) as cluster, suppress(LabError):
            made.play(cluster)
        return cluster.trace

    return run


class Dying(Greeter):
    """Fails when it has done its messages."""

    def run(self) -> None:
        super().run()
        raise ValueError("out of order")


class Keeping(lab.MuxWorker):
    """Keeps what it gets, and gives nothing back."""

    def keep(self, payload: bytes) -> Iterator[bytes]:
        """No result at all."""
        yield from ()


class Forgetful(lab.Server):
    """Hands on to the next step, and does not say that it is another step."""

    def foo(self, payload: bytes) -> bytes:
        """The payload."""
        return payload

    def handle_stream(self, message: PalmMessage) -> tuple[str, PalmMessage]:
        return self.name, message


class Skipping(Forgetful):
    """Hands on to the step after the next."""

    def handle_stream(self, message: PalmMessage) -> tuple[str, PalmMessage]:
        message.stage += 2
        return self.name, message


class Receiving(lab.Pipeline):
    """Takes whatever comes."""

    def foo(self, payload: bytes) -> bytes:
        """The payload."""
        return payload


class Prying(CacheService):
    """A bypass part that is at the router's door all the same."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.add_port(
            "side",
            zmq.DEALER,
            binds=False,
            outer=False,
            sends="message",
            receives="credit",
            address="inproc://server.inbound",
        )


class Whispering(Greeter):
    """Says a word to the other one through sockets that nobody has declared to be joined."""

    def __init__(self, name: str, *, hears: bool) -> None:
        super().__init__(name, server="server")
        self.hears = hears
        kind = zmq.PULL if hears else zmq.PUSH
        self.ear = self.add_port(
            "ear", kind, binds=hears, **{"receives" if hears else "sends": "message"}
        )

    def run(self) -> None:
        join = self.ear.socket.bind if self.hears else self.ear.socket.connect
        join("inproc://behind.the.back")
        if self.hears:
            self.next((self.ear,))
        else:
            self.emit(self.ear, [PalmMessage(payload=b"psst").SerializeToString()])
        super().run()


def dies() -> Trace:
    def play(cluster: lab.Cluster) -> list[bytes]:
        cluster.add(lab.Master("server"))
        cluster.add(Dying("worker1", messages=3))
        return list(cluster.client("server").job("server.foo", [b"a", b"b", b"c"], messages=3))

    return recorded(play)


def waits() -> Trace:
    def play(cluster: lab.Cluster) -> object:
        server = lab.ServerTemplate(name="server")
        server.register_inbound(PullService, "Pull", route="Deal")
        server.register_outbound(PushPullService, "Deal", route="Pub")
        server.register_outbound(PubService, "Pub")
        server.register_bypass(CacheService, "Cache")
        cluster.add(server)
        cluster.add(Keeping("worker1", server="server"))
        return cluster.client("server").eval("server.keep", b"x")

    return recorded(play)


def hands_on(kind: type[lab.Server]) -> Callable[[], Trace]:
    def play(cluster: lab.Cluster) -> object:
        cluster.add(kind("server", pipelined=True))
        cluster.add(Receiving("server", upstream="server"))
        client = cluster.client("server", answers="server2", timeout=5)
        return client.eval(["server.foo", "server.foo"], b"x")

    return lambda: recorded(play)


def pries() -> Trace:
    def play(cluster: lab.Cluster) -> object:
        server = lab.ServerTemplate(name="server")
        server.register_inbound(PullService, "Pull", route="Pub")
        server.register_outbound(PubService, "Pub")
        server.register_bypass(Prying, "Cache")
        cluster.add(server)
        return cluster.client("server").eval("server.foo", b"x")

    return recorded(play)


def whispers() -> Trace:
    def play(cluster: lab.Cluster) -> object:
        cluster.add(lab.Master("server"))
        cluster.add(Whispering("worker1", hears=True))
        cluster.add(Whispering("worker2", hears=False))
        return cluster.client("server", timeout=10).eval("server.foo", b"x")

    return recorded(play, seed=None)


PLANTED: list[tuple[str, Callable[[], Trace], str]] = [
    (
        "conservation",
        faulty("parallel", faults.drop("WorkerPush→worker1", nth=2)),
        "Message 3 is lost between WorkerPush and worker1: a rule drops the 2nd message.",
    ),
    (
        "conservation",
        faulty("parallel", faults.duplicate("client→Pull", nth=2)),
        "Message 2 reached Pull twice, though client sent it once: a rule doubles the 2nd message.",
    ),
    (
        "conservation",
        faulty("tee", faults.drop("server.Pub→pipeline2.Sub", nth=2)),
        "Message 2 is lost between server.Pub and pipeline2.Sub: a rule drops the 2nd message.",
    ),
    (
        "conservation",
        faulty("cache", faults.drop("Cache→client")),
        "An answer is lost between Cache and client: a rule drops the 1st message.",
    ),
    ("failures", dies, "worker1 failed: ValueError: out of order."),
    (
        "waiting",
        waits,
        "Deal waited in vain for what was to come back for message 1: worker1 received it and sent"
        " nothing back (its function gave nothing for it).",
    ),
    (
        "answers",
        faulty("parallel", faults.corrupt("worker1→WorkerPull", "client", "nobody", nth=2)),
        "Message 3 never came back to client:"
        " Pub gave it up (nobody subscribed to 'nobody' in time).",
    ),
    (
        "order",
        faulty("parallel", faults.reorder("client→Pull", nth=2)),
        "Message 3 overtook message 2 between client and Pull.",
    ),
    (
        "stages",
        faulty("parallel", faults.corrupt("WorkerPush→worker1", "stage", 3, nth=2)),
        "Message 3 was at stage 0 when WorkerPush sent it, and at stage 3 when worker1 received it:"
        " a rule changes the stage of the 2nd message.",
    ),
    (
        "stages",
        hands_on(Forgetful),
        "server.Pub received message 1 at stage 0, and sent it on at stage 0: where it is handed on"
        " to the next step, the stage grows by one.",
    ),
    (
        "stages",
        hands_on(Skipping),
        "server.Pub received message 1 at stage 0, and sent it on at stage 2: where it is handed on"
        " to the next step, the stage grows by one.",
    ),
    ("bypass", pries, "Cache is a bypass part, but it has a wire to the router."),
    (
        "declared links",
        whispers,
        "Message 1 went from worker2 to worker1, but no link was declared between them.",
    ),
]


def test_for_each_invariant_something_is_planted() -> None:
    assert {name for name, _, _ in PLANTED} == set(invariants())


@pytest.mark.parametrize(
    ("name", "run", "says"), PLANTED, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(PLANTED)]
)
def test_what_breaks_one_invariant_breaks_exactly_that_one(
    name: str, run: Callable[[], Trace], says: str
) -> None:
    trace = run()
    found = trace.check()
    assert [(finding.name, finding.sentence) for finding in found] == [(name, says)]
    assert all(0 <= n < len(trace.hops) for n in found[0].hops)
    assert found[0].hops or name == "bypass"
    assert not found[0].unsure
    assert trace.check(only=name) == found, "asked alone it finds the same"
    assert trace.check(only=[other for other in invariants() if other != name]) in (
        [],
        # Asked without its cause, what follows from it is found.
        *([[one] for one in trace.check(only="answers")] if name != "answers" else []),
    )


# ----------------------------------------------------------------------------------- a large record


def test_many_hops_are_checked_without_an_object_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where thousands of them are found fault with."""
    rarely = faults.drop("WorkerPush→worker1", chance=0.2)
    with lab.Cluster(faults=[rarely]) as cluster, suppress(LabError):
        cluster.add(lab.Master("server"))
        for name in ("worker1", "worker2"):
            cluster.add(Greeter(name))
        client = cluster.client(timeout=0.5)
        for _ in client.job("server.foo", [b"x"] * 6_000, messages=6_000):
            pass
    trace = cluster.trace
    assert len(trace.hops) > 40_000
    made = count_made(monkeypatch)
    (finding,) = trace.check()
    assert len(finding.hops) > 500
    assert made.total() < 3 * len(finding.hops)
    assert len(finding.sentence) < 250
