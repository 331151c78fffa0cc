"""Tape: what is kept of hops that happen together, and the ring that keeps the last of them."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from builder import Build, message
from hypothesis import given
from hypothesis import strategies as st

from pylm_lab.draw.layout import router_scene
from pylm_lab.hook import Port
from pylm_lab.trace import Event, Recorder, Trace
from pylm_lab.trace.record.decoding import Decoding
from pylm_lab.trace.record.tape import HEAD, Long, Tape, Taped

PORT = Port(id="a:p", actor="a", socket="ROUTER", binds=True, outer=False, receives="message")

frames = st.lists(st.sampled_from([b"", b"Pull", b"WorkerPull", b"x" * HEAD]), max_size=2)
body = st.sampled_from([b"", b"1", b"body", b"x" * HEAD, b"x" * (HEAD + 1), b"x" * 100_000])
batches = st.lists(st.builds(lambda e, b: [*e, b], frames, body), min_size=1, max_size=6)


def events(*taped: Taped) -> list[Event]:
    """What was on tapes of one actor, one after the other."""
    decoding = Decoding(["a"], [PORT.id])
    for one in taped:
        decoding.add("a", one)
    return list(decoding.events())


@given(st.lists(st.tuples(batches, st.booleans()), max_size=5))
def test_together_or_one_by_one_the_same_is_kept(batches: list[tuple[Any, bool]]) -> None:
    together, singly = Tape(None), Tape(None)
    for n, (batch, precise) in enumerate(batches):
        what: Any = ("send", "receive")[n % 2]
        times = [100 * n + k if precise else n for k in range(len(batch))]
        together.hops(what, PORT, batch, times if precise else n)
        for one, at in zip(batch, times, strict=True):
            singly.hops(what, PORT, [one], at)
    assert events(together.copy()) == events(singly.copy())


def test_what_goes_on_as_it_came_is_kept_once() -> None:
    for data in ([message(n) for n in range(1, 4)], [bytes(10_000 + n) for n in range(3)]):
        tape = Tape(None)
        tape.hops("receive", PORT, [[b"Pull", b"", one] for one in data], 1)
        tape.hops("send", PORT, [[b"WorkerPush", b"", one] for one in data], 2)
        kept = tape.copy()
        for came, went in zip(kept.last[:3], kept.last[3:], strict=True):
            assert came is went
        assert [e.peer for e in events(kept)] == ["Pull"] * 3 + ["WorkerPush"] * 3


def test_a_hop_takes_24_bytes_beside_its_frame() -> None:
    tape = Tape(None)
    frame = b"1"
    for n in range(1000):
        tape.hops("receive", PORT, [[b"Pull", b"", frame]], n)
    kept = tape.copy()
    columns = kept.at, kept.key, kept.around, kept.size
    assert sum(column.itemsize for column in columns) == 16
    assert all(one is frame for one in kept.last)
    assert (kept.envelopes, len(kept.keys)) == ([(), (b"Pull", b"")], 3)


def test_envelopes_without_end_are_kept_with_their_frames() -> None:
    tape = Tape(None)
    for n in range(3000):
        tape.hops("receive", PORT, [[b"%d" % n, b"", b"1"]], n)
    tape.hops("receive", PORT, [[b"%d" % n, b"", b"1"] for n in range(5000, 6000)], 0)
    kept = tape.copy()
    assert len(kept.envelopes) == 1000
    peers = [e.peer for e in events(kept)]
    assert peers == [f"{n}" for n in (*range(3000), *range(5000, 6000))]


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=30), st.integers(1, 12))
def test_a_ring_keeps_the_last_and_counts_the_others(
    batches: list[tuple[int, bool]], limit: int
) -> None:
    ring, whole = Tape(limit), Tape(None)
    for n, (size, told) in enumerate(batches):
        batch = [[b"%d.%d" % (n, k)] for k in range(size)]
        for tape in (ring, whole):
            if told:
                tape.fact(n, "seen", PORT, "a topic")
            tape.hops("send" if n % 2 else "receive", PORT, batch, n)
    taped = ring.copy()
    kept, everything = events(taped), events(whole.copy())
    assert len(taped.last) == min(limit, sum(size for size, _ in batches))
    assert len(ring._last) < 2 * limit + 5
    assert kept == everything[len(everything) - len(kept) :]
    assert ring.dropped == taped.dropped == len(everything) - len(kept)
    assert taped.gone == Counter((e.port, e.what) for e in everything[: ring.dropped] if e.kind)
    assert taped.totals() == Counter((e.port, e.what) for e in everything if e.kind)


@given(st.lists(st.tuples(batches, st.booleans(), st.booleans()), max_size=8))
def test_what_is_taken_off_in_pieces_is_the_whole(batches: list[tuple[Any, bool, bool]]) -> None:
    pieces, whole = Tape(None), Tape(None)
    taken = []
    for n, (batch, told, takes) in enumerate(batches):
        for tape in (pieces, whole):
            if told:
                tape.fact(n, "seen", PORT, "a topic")
            tape.hops("receive", PORT, batch, n)
            tape.drop(PORT, batch[-1], n, "no use")
        if takes:
            taken.append(pieces.take())
    assert events(*taken, pieces.take()) == events(whole.copy())
    assert len(pieces._last) == len(pieces._count) == len(pieces._facts) == 0


def test_who_reads_while_a_ring_turns_reads_whole_rows() -> None:
    ring = Tape(50)
    over = threading.Event()

    def write() -> None:
        for n in range(20_000):
            ring.hops("receive", PORT, [[b"%d" % n, b"", b"%d" % n]], n)
        over.set()

    thread = threading.Thread(target=write)
    thread.start()
    reads = 0
    while not over.is_set() or not reads:
        taped = ring.copy()
        reads += 1
        numbers = [
            int(frame.frames[-1] if isinstance(frame, Long) else frame) for frame in taped.last
        ]
        assert numbers == list(taped.at)
        assert not numbers or numbers[-1] + 1 == taped.dropped + len(numbers)
    thread.join()


class Busy(Tape):
    """A ring to which something happens in the middle of being read or turned, once."""

    happens: Any = None

    def _without(self, *going: Any) -> Any:
        found = super()._without(*going)
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return found


def numbered(tape: Tape, *numbers: int, together: bool = False) -> None:
    batch = [[b"%d" % n] for n in numbers]
    for some in [batch] if together else [[one] for one in batch]:
        tape.hops("receive", PORT, some, 1)


def test_who_is_overtaken_by_the_ring_reads_anew() -> None:
    ring = Busy(4)
    numbered(ring, 1, 2, 3, 4, together=True)
    numbered(ring, 5, 6, 7)
    ring.happens = lambda: numbered(ring, *range(8, 20))
    assert ring.copy().last[-1] == b"19"


def test_what_is_told_while_hops_are_taken_off_keeps_its_order() -> None:
    class Taken(Tape):
        def _let_go(self, runs: int, hops: int) -> None:
            if hops == 3:
                numbered(self, 4, 5)
                self.fact(8, "subscribe", PORT, "one")
            super()._let_go(runs, hops)
            if hops == 3:
                self.fact(9, "subscribe", PORT, "two")

    tape = Taken(None)
    numbered(tape, 1, 2, 3)
    assert tape.take().facts == []
    assert [event.text for event in events(tape.take())] == ["", "", "one", "two"]


def test_what_is_told_while_the_ring_turns_is_kept() -> None:
    ring = Busy(2)
    numbered(ring, 1, 2, 3)
    ring.happens = lambda: ring.fact(9, "subscribe", PORT, "a topic")
    numbered(ring, 4)
    assert [fact.text for fact in ring.copy().facts] == ["a topic"]


def test_an_interrupt_leaves_a_ring_that_can_be_read() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    ring = Busy(2)
    numbered(ring, 1, 2, 3)
    ring.happens = interrupt
    with pytest.raises(KeyboardInterrupt):
        numbered(ring, 4)
    assert ring._turns % 2 == 0  # who reads waits while it is odd
    assert ring.copy().last == [b"3", b"4"]


def test_a_row_that_is_interrupted_is_not_there_at_all() -> None:
    tape = Tape(None)
    numbered(tape, 1)
    with pytest.raises(OverflowError):  # as Ctrl-C, it comes between a row's columns
        tape.hops("receive", PORT, [[b"2"]], 1 << 70)
    numbered(tape, 3)
    taped = tape.copy()
    assert (taped.last, list(taped.at)) == ([b"1", b"3"], [1, 1])


def test_what_is_told_in_the_middle_of_another_fact_holds_nobody_up() -> None:
    class Text(str):
        """As where garbage is collected, something ends whenever this is looked at."""

        def __hash__(self) -> int:
            tape.fact(1, "disconnect", PORT, f"nested {len(tape.copy().facts)}")
            return super().__hash__()

        __eq__ = str.__eq__

    tape = Tape(None)
    thread = threading.Thread(target=tape.fact, args=(2, "connect", PORT, Text("x")), daemon=True)
    thread.start()
    thread.join(8)
    assert not thread.is_alive()
    told = [(fact.what, str(fact.text)) for fact in tape.copy().facts]
    assert told[-1] == ("connect", "x")
    assert told[:-1] == [("disconnect", f"nested {n}") for n in range(len(told) - 1)]


def test_an_actor_may_have_any_number_of_ports() -> None:
    tape = Tape(None)
    for n in range(30_000):
        port = Port(id=f"a:{n}", actor="a", socket="REQ", binds=False, outer=True, sends="message")
        tape.fact(n, "connect", port, "inproc://here")
        tape.fact(n, "disconnect", port, "inproc://here")
        tape.fact(n, "fail", port, "why")
        tape.hops("send", port, [[b"%d" % n]], n)
    assert tape.copy().keys[-1].port.id == "a:29999"
    assert len(tape.copy().facts) == 90_000


def test_a_batch_may_be_of_any_length() -> None:
    tape = Tape(None)
    tape.hops("receive", PORT, [[b"1"]] * 70_000, 1)
    assert len(tape.copy().last) == sum(tape.copy().size) == 70_000


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
    assert "The counts are of what was kept." in scene.subtitle
    assert f"{trace.forgotten:,} earlier events are forgotten" in scene.alt
    assert "lost" not in scene.subtitle + scene.alt
