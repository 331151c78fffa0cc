"""What a record costs: a real run, and each thing that is done with what was recorded.

1. A run is a client, a master and a worker in one process: a message crosses eight links.
2. The same run is heard by the Recorder, and by hooks that do at once what others would: an edge of
   a graph for each hop, or a span. What they write down of a hop is what `Trace.graph` says of it.
3. Time is measured without counting memory, which makes everything slower, and memory in a run of
   its own, of at most `COUNTED` messages.
"""

from __future__ import annotations

import gc
import importlib
import logging
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pylm_lab import wire
from pylm_lab.bench.job import Job
from pylm_lab.bench.memory import held
from pylm_lab.cluster import Cluster
from pylm_lab.errors import RunError
from pylm_lab.hook import Hook, Port
from pylm_lab.servers import Master, Worker
from pylm_lab.trace import Recorder, Trace

__all__ = [
    "COUNTED",
    "LONG",
    "STEPS",
    "Edges",
    "Spans",
    "has_spans",
    "memory",
    "rows",
    "run",
    "step_memory",
    "step_times",
    "time_of_run",
]

#: Messages of a run whose memory is counted, at most; and of one that sends them one by one.
COUNTED, ALONE = 12_500, 2_500
#: Links that a message crosses.
HOPS = 8
#: What has an id, by which its two ends are known for one hop.
_STAMPED = ("message", "request")
#: Messages between two looks at whether the job was given up.
_BETWEEN = 1_000
#: Bytes of a payload, and of one whose message is not kept whole.
SHORT, LONG = 32, 1_000


def _stamp(kind: str, frames: list[bytes]) -> wire.Stamp | None:
    """That of a message or a request; an echo of a subscription is neither."""
    if kind not in _STAMPED or frames[0].startswith(wire.READY):
        return None
    return wire.read_stamp(frames[-1])


class _Hops(Hook):
    """Hears each hop of a message as it happens: who sent it when, and who has received it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        #: What was sent and has not arrived, by the message's id: a message is in one place.
        self._sent: dict[int, tuple[Port, int, Any]] = {}
        self.count = 0

    def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
        stamp = _stamp(port.sends, frames)
        if stamp is not None:
            with self._mutex:
                self._sent[stamp.id] = port, at, self.begin(port, at)

    def hop_received(self, port: Port, frames: list[bytes], at: int) -> None:
        stamp = _stamp(port.receives, frames)
        if stamp is None:
            return
        with self._mutex:
            # It may be told here before its sender has come to tell it.
            source, sent, begun = self._sent.pop(stamp.id, None) or (port, at, None)
            head = wire.fields(wire.strip_stamp(frames[-1]))
            self.count += 1
            self.end(
                begun or self.begin(source, sent),
                source,
                port,
                {
                    "kind": port.receives,
                    "message": "",
                    "message_id": f"{stamp.id:016x}",
                    "sent": sent,
                    "received": at,
                    "lost": False,
                    "cause": "",
                    "stage": head.stage,
                    "function": head.function,
                    "size": sum(map(len, frames)),
                    "source_port": source.id,
                    "target_port": port.id,
                },
            )

    def begin(self, port: Port, at: int) -> Any:
        """A hop begins at this port."""
        return True

    def end(self, begun: Any, source: Port, target: Port, about: dict[str, Any]) -> None:
        """What began so has arrived."""
        raise NotImplementedError


class Edges(_Hops):
    """Adds an edge to a networkx.MultiDiGraph for each hop."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = importlib.import_module("networkx").MultiDiGraph()

    def end(self, begun: Any, source: Port, target: Port, about: dict[str, Any]) -> None:
        self.graph.add_edge(source.actor, target.actor, **about)


def has_spans() -> bool:
    """Whether the SDK of OpenTelemetry is installed."""
    try:
        importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    except ImportError:
        return False
    return True


class Spans(_Hops):
    """Makes an OpenTelemetry span of each hop, and keeps it in memory."""

    def __init__(self) -> None:
        super().__init__()
        sdk = importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        memory = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        self.exporter = memory.InMemorySpanExporter()
        provider = sdk.TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(export.SimpleSpanProcessor(self.exporter))
        self._tracer = provider.get_tracer("pylm_lab")

    def begin(self, port: Port, at: int) -> Any:
        return self._tracer.start_span(port.id, start_time=at)

    def end(self, begun: Any, source: Port, target: Port, about: dict[str, Any]) -> None:
        begun.set_attributes(about)
        begun.end(end_time=about["received"])


# The run


def run(
    job: Job,
    hook: Hook | None,
    *,
    alone: bool = False,
    subscribing: bool = False,
    size: int = SHORT,
) -> float:
    """Move the job's messages there and back while a hook listens; returns the seconds.

    `alone`: each is sent when the one before is answered, so that nothing goes in batches; and
    `subscribing` for each anew, as `eval` does while no other call is open. `size` is that of a
    payload in bytes.

    Raises:
        RunError: an answer is missing or wrong, or the hook has failed.
        GivenUp: the job was given up.
    """
    sent = (b"%0*d" % (size, n) for n in range(job.count))
    with Cluster(record=False) as cluster:
        if hook is not None:
            cluster.attach(hook)
        cluster.add(Master("server", log_level=logging.WARNING))
        cluster.add(Worker("worker", server="server"))
        client = cluster.client("server", timeout=60)
        # While this call is open, others do not subscribe.
        opened: Any = client.job("server.echo", [b"0"])
        try:
            next(opened)
            if subscribing:
                opened.close()
            begun = time.perf_counter()
            answers: Iterator[Any]
            if alone:
                answers = (client.eval("server.echo", payload) for payload in sent)
            else:
                answers = client.job("server.echo", sent, messages=job.count)
            found = 0
            for answer in answers:
                if answer != b"%0*d" % (size, found):
                    raise RunError(f"answer {found} of {job.count} is {answer[:80]!r}")
                found += 1
                if not found % _BETWEEN:
                    job.go_on()
            spent = time.perf_counter() - begun
        finally:
            opened.close()
    if hook is not None and hook.failed is not None:
        raise RunError(f"the hook failed: {hook.failed}") from hook.failed
    if found != job.count:
        raise RunError(f"{found} of {job.count} messages were answered")
    return spent


def time_of_run(job: Job, hook: Callable[[], Hook] | None) -> float:
    """Microseconds for each hop of a message."""
    return run(job, hook() if hook is not None else None) / (job.count * HOPS) * 1e6


def _counted(job: Job, most: int) -> Job:
    return Job(min(job.count, most), job.given_up)


def memory(job: Job, hook: Callable[[], Hook]) -> float:
    """Bytes that a hook holds for each hop after the run, its frames among them."""
    few = _counted(job, COUNTED)
    with _Traced() as traced:
        heard = hook()
        run(few, heard)
        return traced.held() / (few.count * HOPS)


def rows(job: Job, *, alone: bool = False, **how: Any) -> tuple[float, float]:
    """Bytes of a Recorder's rows for each hop, and those of the messages' bytes that it keeps."""
    few = _counted(job, ALONE if alone else COUNTED)
    recorder = Recorder()
    run(few, recorder, alone=alone, **how)
    found = held(recorder)
    # Acknowledgements and echoes are hops as well, each with two rows of its own.
    hops = len(recorder.trace.hops)
    return found.rows / hops, found.frames / hops


class _Traced:
    """Counts what is allocated within it."""

    def __enter__(self) -> _Traced:
        gc.collect()
        self._is_first = not tracemalloc.is_tracing()
        if self._is_first:
            tracemalloc.start()
        self._before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        return self

    def held(self) -> int:
        """Bytes that are still in use."""
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - self._before

    def peak(self) -> int:
        """The most bytes that were in use at once."""
        return tracemalloc.get_traced_memory()[1] - self._before

    def __exit__(self, *_: object) -> None:
        if self._is_first:
            tracemalloc.stop()


# What is done with a record


class _Steps:
    """Does each step with what the steps before have made."""

    def __init__(self, recorder: Recorder, folder: Path) -> None:
        self._recorder = recorder
        self._path = folder / "run.jsonl"
        self._trace: Trace | None = None
        self._loaded: Trace | None = None
        self._made: list[object] = []

    @property
    def trace(self) -> Trace:
        if self._trace is None:
            self._trace = self._recorder.trace
        return self._trace

    def make(self) -> None:
        assert self.trace is not None

    def hops(self) -> None:
        if len(self.trace.hops) < 1:
            raise RunError("the trace has no hops")

    def save(self) -> None:
        self.trace.save(self._path)

    def load(self) -> None:
        self._loaded = Trace.load(self._path)
        if len(self._loaded.events) != len(self.trace.events):
            raise RunError("the trace that was loaded is not the one that was saved")

    def check(self) -> None:
        findings = self.trace.check()
        if findings:
            raise RunError(f"the run did what no run should: {findings[0]}")

    def graph(self) -> None:
        self._made.append(self.trace.graph)

    def messages(self) -> None:
        if len(self.trace.messages) < 1:
            raise RunError("the trace has no messages")


#: What is done with a record, in order: in words, and how.
STEPS: tuple[tuple[str, Callable[[_Steps], None]], ...] = (
    ("trace made of what was recorded", _Steps.make),
    ("its hops matched", _Steps.hops),
    ("saved", _Steps.save),
    ("loaded", _Steps.load),
    ("checked", _Steps.check),
    ("made a graph", _Steps.graph),
    ("its messages told", _Steps.messages),
)


def step_times(job: Job) -> tuple[float, ...]:
    """Microseconds of each step for each hop."""
    found: list[float] = []

    def clocked(step: Callable[[], None]) -> None:
        begun = time.perf_counter()
        step()
        found.append((time.perf_counter() - begun) * 1e6)

    hops = _each_step(job, clocked)
    return tuple(spent / hops for spent in found)


def step_memory(job: Job) -> tuple[float, ...]:
    """Bytes that each step needs at the most, for each hop, beside what was there before it."""
    found: list[float] = []

    def counted(step: Callable[[], None]) -> None:
        with _Traced() as traced:
            step()
            found.append(traced.peak())

    hops = _each_step(_counted(job, COUNTED), counted)
    return tuple(peak / hops for peak in found)


def _each_step(job: Job, measured: Callable[[Callable[[], None]], None]) -> int:
    """Record a run and measure each step; returns how many hops it has."""
    recorder = Recorder()
    run(job, recorder)
    with tempfile.TemporaryDirectory() as folder:
        steps = _Steps(recorder, Path(folder))
        for _, step in STEPS:
            job.go_on()
            measured(partial(step, steps))
        return len(steps.trace.hops)
