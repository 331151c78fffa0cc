"""Tape: what is kept of hops that happen together, and the ring that keeps the last of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from builder import Build, message
from hypothesis import given
from hypothesis import strategies as st

from pylm_lab.draw.layout import router_scene
from pylm_lab.hook import Port
from pylm_lab.trace import Recorder, Trace
from pylm_lab.trace.tape import HEAD, Tape, rows

PORT = Port(id="a:p", actor="a", socket="ROUTER", binds=True, outer=False, receives="message")

frames = st.lists(st.sampled_from([b"", b"Pull", b"WorkerPull", b"x" * HEAD]), max_size=2)
body = st.sampled_from([b"", b"1", b"body", b"x" * HEAD, b"x" * (HEAD + 1), b"x" * 100_000])
batches = st.lists(st.builds(lambda e, b: [*e, b], frames, body), min_size=1, max_size=6)


def keep(tape: Tape, what: Any, batch: list[list[bytes]], at: int | list[int]) -> None:
    """As a Recorder does."""
    if len(batch) == 1 or not tape.together(what, PORT, batch, at):
        tape.hops(what, PORT, batch, at)


@given(st.lists(st.tuples(batches, st.booleans()), max_size=5))
def test_together_or_one_by_one_the_same_is_kept(batches: list[tuple[Any, bool]]) -> None:
    together, singly = Tape(None), Tape(None)
    for n, (batch, precise) in enumerate(batches):
        what: Any = ("send", "receive")[n % 2]
        times = [100 * n + k if precise else n for k in range(len(batch))]
        keep(together, what, batch, times if precise else n)
        for one, at in zip(batch, times, strict=True):
            singly.hops(what, PORT, [one], at)
    assert list(rows(together.copy())) == list(rows(singly.copy()))


def test_what_goes_on_as_it_came_is_kept_once() -> None:
    tape = Tape(None)
    batch = [[b"Pull", b"", message(n)] for n in range(1, 4)]
    assert tape.together("receive", PORT, batch, 1)
    assert tape.together("send", PORT, [[b"WorkerPush", b"", data] for *_, data in batch], 2)
    came, went = tape.copy()
    assert went[3] is came[3]
    assert [row.frames[0] for row in rows(tape.copy())] == [b"Pull"] * 3 + [b"WorkerPush"] * 3


@given(st.lists(st.integers(1, 5), max_size=30), st.integers(1, 12))
def test_a_ring_keeps_the_last_and_counts_the_others(sizes: list[int], limit: int) -> None:
    ring, whole = Tape(limit), Tape(None)
    for n, size in enumerate(sizes):
        batch = [[b"%d.%d" % (n, k)] for k in range(size)]
        for tape in (ring, whole):
            tape.event(n, "seen", PORT, "a topic")
            keep(tape, "send" if n % 2 else "receive", batch, n)
    kept, everything = list(rows(ring.copy())), list(rows(whole.copy()))
    assert min(limit, len(everything)) <= len(kept) < limit + 5
    assert kept == everything[len(everything) - len(kept) :]
    assert ring.dropped == len(everything) - len(kept)
    gone = everything[: ring.dropped]
    assert ring.gone == Counter((row.port.id, row.what) for row in gone if row.port and row.frames)


def test_a_recorder_with_a_limit_tells_the_end_of_a_run_and_how_much_it_was(
    tmp_path: Path,
) -> None:
    whole, ring = Build().master(), Build(limit=20).master()
    for build in (whole, ring):
        for id in range(1, 31):
            build.run(id)
    kept = ring.recorder.trace
    wiring = [e for e in kept.events if e.what in ("bind", "connect", "start")]
    assert wiring == [e for e in whole.trace.events if e.what in ("bind", "connect", "start")]
    assert Counter(e.actor for e in kept.events if e.kind).most_common(1)[0][1] <= 20
    assert ring.recorder.dropped > 0
    assert whole.recorder.dropped == 0
    # The record begins where all of them are known: what was sent before is no loss.
    assert kept.forgotten == len(whole.trace.events) - len(kept.events)
    assert not any(hop.sent is not None and hop.received is None for hop in kept.hops)
    (finding,) = kept.check()
    assert f"{kept.forgotten:,} earlier events were forgotten" in finding.sentence
    assert f"({kept.forgotten:,} earlier ones forgotten)" in repr(kept)
    kept.save(tmp_path / "ring.jsonl")
    loaded = Trace.load(tmp_path / "ring.jsonl")
    assert (loaded.forgotten, loaded.events) == (kept.forgotten, kept.events)
    assert ring.recorder.totals() == whole.recorder.totals()
    assert whole.recorder.totals()["server.router:inbound", "receive"] == 60


@pytest.mark.parametrize("limit", [0, -1, True, 2.5, "many"])
def test_a_limit_is_a_number_of_events(limit: Any) -> None:
    with pytest.raises(ValueError, match=f"limit={limit!r}: a number of events to keep"):
        Recorder(limit=limit)


def test_a_picture_says_what_was_forgotten_and_claims_no_loss() -> None:
    ring = Build(limit=20).master()
    for id in range(1, 31):
        ring.run(id)
    trace = ring.recorder.trace
    scene = router_scene(trace)
    assert scene.title == "Inside the server: the end of a run, two workers"
    assert f"{trace.forgotten:,} earlier events are forgotten" in scene.subtitle
    assert f"{trace.forgotten:,} earlier events are forgotten" in scene.alt
    assert "lost" not in scene.subtitle + scene.alt
