"""What is measured: the groups, their variants, and the figure that each is compared with.

1. A group is a row of the table `GROUPS`, and nothing else knows of it.
2. A variant measures one or several figures at once, and says of each what it is, in which unit,
   and which other figure of its group is 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from pylm_lab.bench import processes, raw, recorded, routed
from pylm_lab.bench.chain import Chain, latencies, throughput
from pylm_lab.bench.job import Job
from pylm_lab.bench.routed import Routed
from pylm_lab.hook import Hook
from pylm_lab.parts.routing import WINDOW
from pylm_lab.trace import Recorder

__all__ = ["GROUPS", "Figure", "Group", "Variant"]

RATE = "messages/s"
EACH = "µs/message"
HOP, BYTES = "µs/hop", "B/hop"
#: What the recorder with a limit keeps of each actor.
RING = 10_000


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a variant: what it is, its unit, and the figure that is 1 beside it."""

    what: str
    unit: str
    base: str = ""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Something that is measured once a round; `measure` does a job."""

    figures: tuple[Figure, ...]
    measure: Callable[[Job], tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Variants that are compared with each other.

    `share`: of the messages that are asked for, one in so many is used; 0: none. `ratio` says in
    words what the ratios are of. One that is `named` runs only when its name is given.
    """

    name: str
    title: str
    ratio: str
    share: int
    variants: tuple[Variant, ...]
    named: bool = False

    def count(self, messages: int) -> int:
        """How many messages a variant moves in a round."""
        return max(1, messages // self.share) if self.share else 0


def _variant(figure: Figure, measure: Callable[[Job], float]) -> Variant:
    return Variant(figures=(figure,), measure=lambda job: (measure(job),))


# Throughput

_LOCKSTEP = "raw lockstep: REQ, 2 × ROUTER, REP"


def _rate(what: str, chain: Callable[[Job], Chain]) -> Variant:
    return _variant(
        Figure(what=what, unit=RATE, base=_LOCKSTEP), lambda job: throughput(chain(job))
    )


def _routed(**options: Any) -> Callable[[Job], Chain]:
    return lambda job: Routed(job, **options)


def _window(size: int) -> Variant:
    note = ", the default" if size == WINDOW else ""
    return _rate(f"pylm_lab, window {size}{note}", _routed(window=size))


_THROUGHPUT = Group(
    name="throughput",
    title="Throughput: PULL part → router → PUSH part, inproc",
    ratio="how many times as fast as the raw lockstep",
    share=1,
    variants=(
        _rate(_LOCKSTEP, raw.Lockstep),
        _rate("raw, the same sockets in one thread", raw.OneThread),
        _rate("raw zmq.proxy × 3, which parse nothing", raw.Proxies),
        _rate("pylm_lab, lockstep=True", _routed(lockstep=True)),
        *map(_window, sorted({16, 64, 256, WINDOW, 1024, 4096})),
        _rate(
            "pylm_lab, default, the PUSH part parsing too",
            _routed(push=routed.ParsingPush),
        ),
    ),
)


# Recording

_UNHEARD = "nobody listens"


def _heard(what: str, hook: Callable[[], Hook] | None) -> Variant:
    return _variant(
        Figure(what=what, unit=EACH, base=_UNHEARD),
        lambda job: 1e6 / throughput(Routed(job, hook=hook)),
    )


def _door(what: str, hook: Callable[[], Hook] | None) -> Variant:
    return _variant(Figure(what=what, unit="ns/operation"), lambda job: routed.door(job, hook))


_RECORDING = Group(
    name="recording",
    title="Recording: time per message of pylm_lab's default, while a hook listens",
    ratio="how many times as long as when nobody listens",
    share=1,
    variants=(
        _heard(_UNHEARD, None),
        _heard("a hook that overrides nothing", routed.Idle),
        _heard("Recorder()", Recorder),
        _heard(f"Recorder(limit={RING}), a ring", partial(Recorder, limit=RING)),
        _heard("Recorder(precise=True), a clock an event", partial(Recorder, precise=True)),
        _door("door, no hook: a port beyond its socket", None),
        _door("door, idle hook: a port beyond its socket", routed.Idle),
    ),
)


# Latency


def _lone(what: str, chain: Callable[[Job], Chain], base: str) -> Variant:
    def measure(job: Job) -> tuple[float, ...]:
        found = sorted(latencies(chain(job)))
        return tuple(found[int((len(found) - 1) * part)] * 1e6 for part in (0.5, 0.99))

    return Variant(
        figures=tuple(
            Figure(what=f"{what}, {part}", unit="µs", base=f"{base}, {part}")
            for part in ("p50", "p99")
        ),
        measure=measure,
    )


_LATENCY = Group(
    name="latency",
    title="Latency: a lone message through the same chain, from send to receive",
    ratio="how many times as long as through the raw lockstep",
    share=10,
    variants=(
        _lone("raw lockstep", raw.Lockstep, "raw lockstep"),
        _lone("pylm_lab, default", Routed, "raw lockstep"),
        _lone("pylm_lab, lockstep=True", _routed(lockstep=True), "raw lockstep"),
    ),
)


# The start, and processes

_START = Group(
    name="start",
    title="Start: from Cluster() to the first answer of a worker, recorded",
    ratio="",
    share=0,
    variants=(
        _variant(Figure(what="inproc", unit="ms"), lambda _: routed.first_answer("inproc")),
        _variant(Figure(what="tcp", unit="ms"), lambda _: routed.first_answer("tcp")),
    ),
)

_ALONE = "pylm_lab, lockstep=True"


def _job(what: str, *, lockstep: bool) -> Variant:
    return _variant(
        Figure(what=what, unit="answers/s", base=_ALONE),
        lambda job: processes.answers(job, lockstep=lockstep),
    )


_PROCESSES = Group(
    name="processes",
    title="Processes: a job through master, worker and client over tcp, a process each",
    ratio="how many times as fast as in lockstep",
    share=2,
    variants=(
        _job(_ALONE, lockstep=True),
        _job("pylm_lab, default", lockstep=False),
    ),
)


# The trace

_ALONE_HEARD = "the run, nobody listens"
_HELD = "held by the Recorder, all"


def _listened(what: str, held: str, hook: Callable[[], Hook]) -> tuple[Variant, Variant]:
    """What a hook costs while a run goes on, and what it then holds."""
    return (
        _variant(
            Figure(what=f"the run, {what}", unit=HOP, base=_ALONE_HEARD),
            lambda job: recorded.time_of_run(job, hook),
        ),
        _variant(
            Figure(what=f"held by {held}", unit=BYTES, base=_HELD),
            lambda job: recorded.memory(job, hook),
        ),
    )


def _rows(what: str, **how: Any) -> Variant:
    return Variant(
        figures=(
            Figure(what=f"the Recorder's rows, {what}", unit=BYTES),
            Figure(what=f"the messages' bytes in them, {what}", unit=BYTES),
        ),
        measure=lambda job: recorded.rows(job, **how),
    )


def _trace() -> Group:
    spans = recorded.has_spans()
    hooks: list[tuple[str, str, Callable[[], Hook]]] = [
        ("Recorder()", "the Recorder, all", Recorder),
        ("networkx.add_edge a hop", "the graph", recorded.Edges),
    ]
    if spans:
        hooks.append(("OpenTelemetry, a span a hop", "the spans", recorded.Spans))
    times, holds = zip(*(_listened(*each) for each in hooks), strict=True)
    missing = "" if spans else " (OpenTelemetry's SDK is not installed)"
    return Group(
        name="trace",
        title=f"Trace: a job in one process, eight hops a message{missing}",
        ratio="how many times the run when nobody listens, and what the Recorder holds",
        share=1,
        variants=(
            _variant(
                Figure(what=_ALONE_HEARD, unit=HOP, base=_ALONE_HEARD),
                lambda job: recorded.time_of_run(job, None),
            ),
            *times,
            Variant(
                figures=tuple(Figure(what=step, unit=HOP) for step, _ in recorded.STEPS),
                measure=recorded.step_times,
            ),
            *holds,
            _rows("sent together"),
            _rows(f"payloads of {recorded.LONG:,} bytes", size=recorded.LONG),
            _rows("sent one by one", alone=True),
            _rows("one by one, each time subscribing", alone=True, subscribing=True),
            Variant(
                figures=tuple(
                    Figure(what=f"{step}, at the most", unit=BYTES) for step, _ in recorded.STEPS
                ),
                measure=recorded.step_memory,
            ),
        ),
        named=True,
    )


#: Every group by its name.
GROUPS = {
    group.name: group for group in (_THROUGHPUT, _RECORDING, _LATENCY, _START, _PROCESSES, _trace())
}
