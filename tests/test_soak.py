"""Long runs: starts and stops without end, many messages, and queues that are full.

What the bounds are: between client and worker there is room for ZeroMQ's two queues of 1000, one at
each end of a link, and for the window of 256 messages that an inbound part may have on its way. Who
has no room waits; nothing is dropped.
"""

from __future__ import annotations

import os
import statistics
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import leaks
import pytest
import zmq
from processes import free_ports, within

import pylm_lab as lab
from pylm_lab import hook
from pylm_lab.loop import BATCH
from pylm_lab.parts.routing import WINDOW
from pylm_lab.trace import Recorder

#: What ZeroMQ keeps of a link inside a process: 1000 messages at each end.
QUEUES = 2000


# -------------------------------------------------------------------------------- starts and stops


def bound_to(addresses: list[str]) -> dict[str, Any]:
    """What a master is told to be bound to these addresses; the last is its cache's."""
    parts = ("pull", "pub", "worker_pull", "worker_push", "db")
    return {f"{part}_address": address for part, address in zip(parts, addresses, strict=True)}


def by_cluster(addresses: list[str]) -> list[bytes]:
    with lab.Cluster(transport="tcp") as cluster:
        cluster.add(lab.Master("server", **bound_to(addresses)))
        cluster.add(lab.Worker("worker1"))
        return twenty(cluster.client(timeout=5))


def by_hand(addresses: list[str]) -> list[bytes]:
    """All in the context that everybody shares."""
    return in_context(addresses, None)


def in_a_context_of_its_own(addresses: list[str]) -> list[bytes]:
    with zmq.Context() as context:
        found = in_context(addresses, context)
        with within(2, "the end of the context"):
            context.term()
    return found


def in_context(addresses: list[str], context: zmq.Context[Any] | None) -> list[bytes]:
    with (
        lab.Master("server", **bound_to(addresses), context=context),
        lab.Worker("worker1", addresses[-1], context=context),
        lab.Client("server", addresses[-1], timeout=5, context=context) as client,
    ):
        return twenty(client)


def twenty(client: lab.Client) -> list[bytes]:
    return list(client.job("server.echo", (b"%d" % n for n in range(20)), messages=20))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("cycle", [by_cluster, by_hand, in_a_context_of_its_own])
def test_the_same_tcp_ports_serve_one_run_after_the_other(cycle: Any, scale: int) -> None:
    addresses = free_ports(5)
    before = leaks.Snapshot()
    for n in range(300 if scale >= 5 else 30):
        with within(5, f"cycle {n}"):
            assert cycle(addresses) == [b"%d" % n for n in range(20)], f"cycle {n}"
        if n % 10 == 9:  # to look each time would give the ports time to become free
            assert before.leaks() == [], f"after cycle {n}"


@pytest.mark.timeout(60)
def test_the_same_server_starts_again_and_again(scale: int) -> None:
    addresses = free_ports(5)
    server = lab.Master("server", **bound_to(addresses))
    before = leaks.Snapshot()
    for n in range(300 if scale >= 5 else 30):
        with (
            server,
            lab.Worker("worker1", addresses[-1]),
            lab.Client("server", addresses[-1], timeout=5) as client,
        ):
            assert client.eval("server.echo", b"x") == b"x", f"cycle {n}"
        if n % 10 == 9:  # to look each time would give the ports time to become free
            assert before.leaks() == [], f"after cycle {n}"


# ----------------------------------------------------------------------------------- many messages


class Bitmap:
    """Which of so many payloads, whole numbers from 0 on, have been answered."""

    def __init__(self, count: int) -> None:
        self._seen = bytearray(count)

    def take(self, answer: bytes) -> None:
        number = int(answer)
        assert not self._seen[number], f"{number} is answered twice"
        self._seen[number] = 1

    def check(self) -> None:
        lost = self._seen.count(0)
        first = self._seen.find(0)
        assert not lost, f"{lost} of {len(self._seen)} are lost, {first} being the first"


def payloads(count: int) -> Iterator[bytes]:
    return (b"%d" % n for n in range(count))


#: Who sends what who receives: ports, a `*` being any worker.
LINKS = [
    (["client:push"], ["server.Pull:listen_to"]),
    (["server.Pull:broker", "server.WorkerPull:broker"], ["server.router:inbound"]),
    (["server.router:inbound"], ["server.Pull:broker", "server.WorkerPull:broker"]),
    (["server.router:outbound"], ["server.WorkerPush:broker", "server.Pub:broker"]),
    (["server.WorkerPush:broker", "server.Pub:broker"], ["server.router:outbound"]),
    (["server.WorkerPush:listen_to"], ["*:pull"]),
    (["*:push"], ["server.WorkerPull:listen_to"]),
    (["server.Pub:listen_to"], ["client:sub"]),
    (["client:db", "*:db"], ["server.Cache:listen_to"]),
    (["server.Cache:listen_to"], ["client:db", "*:db"]),
]


def balance(recorder: Recorder, workers: list[str]) -> dict[str, tuple[int, int]]:
    """Link → how many messages were sent there, and how many received."""
    totals = recorder.totals()

    def total(ports: list[str], what: Any) -> int:
        named = [p.replace("*", w) for p in ports for w in (workers if "*" in p else [""])]
        return sum(totals[port, what] for port in named)

    return {
        f"{' + '.join(source)} → {' + '.join(target)}": (
            total(source, "send"),
            total(target, "receive"),
        )
        for source, target in LINKS
    }


@pytest.mark.timeout(60)
def test_many_messages_take_no_more_memory_than_few(scale: int) -> None:
    count = 1_000_000 if scale >= 5 else 20_000
    recorder, seen, memory = Recorder(limit=1000), Bitmap(count), []
    workers = [f"worker{n}" for n in range(4)]
    with lab.Cluster(record=False).attach(recorder) as cluster:
        cluster.add(lab.Master("server"))
        for name in workers:
            cluster.add(lab.Worker(name))
        client = cluster.client(timeout=10)
        job = client.job("server.echo", payloads(count), messages=count)
        for n, answer in enumerate(job):
            seen.take(answer)
            if n % (count // 100) == 0:
                memory.append(resident())
    seen.check()
    found = balance(recorder, workers)
    assert found["client:push → server.Pull:listen_to"] == (count, count)
    assert {link: pair for link, pair in found.items() if pair[0] != pair[1]} == {}
    assert not [port for port, what in recorder.totals() if what == "drop"]
    assert recorder.dropped > count, "the ring has never been full"
    if scale >= 5 and memory[0]:
        # What comes first warms up: the ring fills, and queues find their size.
        warm = memory[20:]
        usual = statistics.median(warm)
        told = f"MB: {[round(m / 1e6, 1) for m in memory]}"
        print(told)
        assert max(warm) <= 1.05 * usual, f"it grows; {told}"
        assert min(warm) >= 0.95 * usual, f"it was not warm; {told}"


def resident() -> int:
    """Bytes of this process that are in memory; 0 where the system doesn't tell."""
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        return 0
    return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ------------------------------------------------------------------------------------- full queues


class Flight:
    """How many messages are on their way, and how many were at the most."""

    def __init__(self) -> None:
        self.gone = self.come = self.most = 0

    def start(self, payloads: Iterable[bytes]) -> Iterator[bytes]:
        """Each payload, as it leaves."""
        for payload in payloads:
            self.gone += 1
            self.most = max(self.most, self.gone - self.come)
            yield payload

    def check(self, bound: int) -> None:
        told = f"{self.most} were on their way at once, of {self.gone}"
        print(f"{told}; the bound is {bound}")
        assert self.most <= bound, f"{told}, more than the {bound} that there is room for"


def collect(client: lab.Client, sent: Iterator[bytes], count: int, flight: Flight) -> None:
    """Take all answers of a job, and see that none is missing or comes twice."""
    seen = Bitmap(count)
    for answer in client.job("server.foo", sent, messages=count):
        flight.come += 1
        seen.take(answer)
    seen.check()


def room(workers: int) -> int:
    """Room from a client through the server to it again: queues, windows, what is in hands."""
    queues = QUEUES + workers * 2 * QUEUES + QUEUES
    return queues + 2 * WINDOW + workers + BATCH


class Echo(lab.Worker):
    def foo(self, payload: bytes) -> bytes:
        """Return it."""
        return payload


class Slow(lab.Worker):
    """Slower than any client."""

    pause = threading.Event()

    def foo(self, payload: bytes) -> bytes:
        """Return it, some of it a little later."""
        if payload[-1:] in b"0369":
            self.pause.wait(1e-4)
        return payload


@pytest.mark.timeout(60)
@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_workers_that_are_slower_than_the_client_hold_it_up(transport: Any, scale: int) -> None:
    count = 100_000 if scale >= 5 else 5_000
    flight = Flight()
    with lab.Cluster(transport=transport, record=False) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Slow("worker1"))
        client = cluster.client(timeout=20)
        # Over tcp the system has buffers as well, which would hold tens of thousands of these.
        sent = flight.start(payloads(count) if transport == "inproc" else large(count))
        collect(client, sent, count, flight)
    if transport == "inproc":
        # What waits for the worker; behind it everybody is faster.
        flight.check(QUEUES + WINDOW + QUEUES + 2 * BATCH)


def large(count: int) -> Iterator[bytes]:
    return (b"%0500d" % n for n in range(count))


class Thousand(lab.Master):
    """Makes a thousand messages out of each."""

    def __init__(self, name: str, flight: Flight) -> None:
        self.flight = flight
        super().__init__(name)

    def scatter(self, message: Any) -> Iterator[Any]:
        first = 1000 * int(message.payload)
        for payload in self.flight.start(b"%d" % (first + n) for n in range(1000)):
            yield self.change_payload(message, payload)


@pytest.mark.timeout(60)
def test_a_thousand_messages_out_of_each_do_not_flood_anything(scale: int) -> None:
    count = 100 if scale >= 5 else 15
    flight = Flight()
    with lab.Cluster(record=False) as cluster:
        cluster.add(Thousand("server", flight))
        for n in range(2):
            cluster.add(Echo(f"worker{n}"))
        collect(cluster.client(timeout=10), payloads(count), 1000 * count, flight)
    flight.check(room(2) - QUEUES)


class Rest(hook.Hook):
    """Tells when nothing moves any more: the client waits, and nobody sends."""

    def __init__(self) -> None:
        self._moved = threading.Condition()
        self._asleep: Counter[str] = Counter()

    def actor_waiting(self, actor: str, ports: object, at: int) -> None:
        with self._moved:
            self._asleep[actor] = 1

    def hops_sent(self, port: hook.Port, batch: object, at: object) -> None:
        with self._moved:
            self._asleep[port.actor] = 0
            self._moved.notify_all()

    def wait(self, who: str) -> None:
        with self._moved, within(50, "coming to rest"):
            while self._moved.wait(0.3) or not self._asleep[who]:
                pass


@pytest.mark.timeout(60)
def test_without_a_worker_the_client_waits_until_there_is_one(scale: int) -> None:
    count = 100_000 if scale >= 5 else 5_000
    flight, rest, recorder = Flight(), Rest(), Recorder(limit=1000)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            collect(client, flight.start(payloads(count)), count, flight)
        except (AssertionError, lab.LabError) as error:
            failed.append(error)

    with ExitStack() as stack:
        cluster = stack.enter_context(lab.Cluster(record=False).attach(rest).attach(recorder))
        cluster.add(lab.Master("server"))
        client = cluster.client(timeout=50)
        job = threading.Thread(target=work, name="the job")
        job.start()
        stack.callback(job.join, 5)
        rest.wait("client")
        assert not failed, failed
        # One more has been taken from the generator, and waits in the client's hands.
        held = flight.gone
        print(f"{held} were sent before there was a worker")
        assert QUEUES <= held <= QUEUES + WINDOW + 1
        assert flight.come == 0
        cluster.add(Echo("late"))
        job.join(50)
        assert not job.is_alive(), f"{flight.come} of {count} answers after 50 s"
    assert not failed, failed
    flight.check(room(1))
    assert {
        link: pair for link, pair in balance(recorder, ["late"]).items() if pair[0] != pair[1]
    } == {}
