"""Jobs, with planted faults or without, and what their traces tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pylm_lab as lab
from pylm_lab.errors import LabError
from pylm_lab.faults import Fault
from pylm_lab.scenarios import Greeter
from pylm_lab.trace import Event, Trace

__all__ = ["PAYLOADS", "SEEDS", "N", "Play", "ask", "came", "events", "named", "ran", "recorded"]

N = [b"1", b"2", b"3", b"4", b"5", b"6"]
SEEDS = [1, 2, 3]


def ran(
    *planted: Fault,
    seed: int | None = 1,
    timeout: float | None = 60,
    payloads: list[bytes] = N,
    workers: int = 1,
    window: int = 512,
    hook: lab.Hook | None = None,
    more: int = 0,
    **options: Any,
) -> tuple[Trace, list[bytes], LabError | None]:
    """A job with these faults: the trace, the answers, and what it ended with.

    It asks for an answer to each payload, and for some `more`.
    """
    answers: list[bytes] = []
    error = None
    with lab.Cluster(
        seed, faults=planted, limit=None if seed is None else 9000, **options
    ) as cluster:
        if hook is not None:
            cluster.attach(hook)
        cluster.add(lab.Master("server", window=window))
        for n in range(workers):
            cluster.add(Greeter(f"worker{n + 1}"))
        try:
            client = cluster.client(timeout=timeout)
            job = client.job("server.foo", payloads, messages=len(payloads) + more)
            answers.extend(answer.rpartition(b" ")[2] for answer in job)
        except LabError as failed:
            error = failed
    return cluster.trace, answers, error


def events(trace: Trace, what: str, actor: str, kind: str = "message") -> list[Event]:
    """What an actor did to what is of this kind."""
    return [e for e in trace.events if (e.what, e.actor, e.kind) == (what, actor, kind)]


def came(trace: Trace, actor: str) -> list[str]:
    """The numbers of the messages that an actor received, in order."""
    return [trace.numbers[event.message] for event in events(trace, "receive", actor)]


def named(trace: Trace, name: str = "conservation") -> list[str]:
    """What the check says under this name."""
    return [str(finding) for finding in trace.check() if finding.name == name]


Play = Callable[[lab.Cluster], Any]
PAYLOADS = (b"a", b"b", b"c", b"d")


def ask(
    worker: type[lab.Worker] = Greeter,
    *,
    server: type[lab.Master] = lab.Master,
    workers: Sequence[str] = ("worker1", "worker2"),
    payloads: Sequence[bytes] = PAYLOADS,
    client: str = "client",
    timeout: float | None = None,
    window: int = 512,
) -> Play:
    """A play: a master, workers, and a client with one job."""

    def play(cluster: lab.Cluster) -> list[bytes]:
        cluster.add(server("server", window=window))
        for name in workers:
            cluster.add(worker(name, server="server"))
        asker = cluster.client("server", name=client, timeout=timeout)
        return list(asker.job("server.foo", list(payloads), messages=len(payloads)))

    return play


def recorded(play: Play, seed: int | None = 3, **options: Any) -> Trace:
    """The trace of a play, however it ends."""
    with lab.Cluster(seed, **options) as cluster, suppress(LabError):
        play(cluster)
    return cluster.trace
