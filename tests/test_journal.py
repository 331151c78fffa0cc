"""Journal: a record that is written while the run goes on, whatever becomes of the run."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab.errors import OutputError, RunError, TraceFileError
from pylm_lab.scenarios import Greeter
from pylm_lab.trace import Trace
from pylm_lab.trace.record.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def job(cluster: lab.Cluster, messages: int = 20) -> None:
    """A master, two workers, and a client with a job."""
    cluster.add(lab.Master("server"))
    for n in (1, 2):
        cluster.add(Greeter(f"worker{n}"))
    list(cluster.client().job("server.foo", [b"a message"] * messages, messages=messages))


def part(journal: Journal) -> Build:
    """The beginning of a run, written down."""
    build = Build(journal).master()
    build.run(1)
    journal.flush()
    return build


def kept(journal: Journal) -> int:
    """How much is in memory and not in the file."""
    tapes = [tape.copy() for tape in journal._tapes.values()]
    return sum(len(tape.at) + len(tape.facts) for tape in tapes)


# ------------------------------------------------------------------------------ what is written


@pytest.mark.parametrize("seed", [1, 2])
def test_a_journal_tells_what_the_cluster_s_own_record_tells(path: Path, seed: int) -> None:
    with lab.Cluster(seed) as cluster, Journal(path) as journal:
        cluster.attach(journal)
        job(cluster)
        cluster.stop()
    assert Trace.load(path) == cluster.trace
    assert cluster.trace.decisions
    assert cluster.trace.check() == []


def test_a_free_run_is_put_in_order_when_it_is_read(path: Path) -> None:
    recorder = lab.Recorder()
    with Journal(path) as journal, lab.Cluster(record=False) as cluster:
        cluster.attach(recorder)
        cluster.attach(journal)
        job(cluster, 300)
        cluster.stop()
        assert journal.totals() == recorder.totals()
    assert Trace.load(path) == recorder.trace == journal.trace
    assert journal.trace.events[0].at == 0


def test_the_last_line_tells_how_many_there_are(path: Path) -> None:
    with Journal(path, clock="step", scenario="x", options={"b": 1, "a": 2}) as journal:
        part(journal)
    header, *lines, end = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(header)["lines"] is None
    assert '"options":{"a":2,"b":1}' in header
    assert json.loads(end) == {"is": "end", "lines": len(lines)}
    assert journal.trace.cut == ()


def test_an_empty_journal_is_a_trace(path: Path) -> None:
    journal = Journal(path)
    assert Trace.load(path) == Trace()
    journal.close()
    assert Trace.load(path) == Trace()
    assert path.read_bytes().count(b"\n") == 2


def test_nothing_that_was_written_is_kept(path: Path) -> None:
    with Journal(path, clock="step") as journal:
        build = part(journal)
        for n in range(2, 50):
            build.run(n)
            journal.flush()
            assert kept(journal) == 0
        build.decide("send", "client")
        assert journal.trace.decisions
        assert journal._decisions == []
        assert len(journal.trace.hops) == 49 * 8
        assert journal.totals()["client:push", "send"] == 49


def test_a_thread_writes_by_itself(path: Path) -> None:
    with Journal(path, clock="step") as journal:
        written = threading.Event()
        put = journal._put

        def told(lines: object) -> None:
            put(lines)  # type: ignore[arg-type]
            if journal._lines:
                written.set()

        journal._put = told  # type: ignore[method-assign]
        Build(journal).master()
        assert written.wait(20)
        assert Trace.load(path).cut == tuple(actor.id for actor in Trace.load(path).actors) != ()
        thread = journal._thread
    assert thread is not None
    assert not thread.is_alive()


def test_times_count_from_the_first_event(path: Path) -> None:
    with Journal(path) as journal:
        build = Build(journal)
        build.step = 10**15
        build.master().run(1)
        journal.flush()
        build.run(2)
    times = [json.loads(line).get("at", 0) for line in path.read_bytes().splitlines()]
    assert min(times) == 0
    assert max(times) == build.step - 10**15 - 1


def test_what_a_disk_takes_in_several_pieces_is_written_whole(path: Path) -> None:
    class Slow(FileIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data[:50]))

    with Journal(path, clock="step") as journal:
        build = Build(journal).master()
        assert journal._file is not None
        journal._file.close()
        journal._file = Slow(path, "a")
        build.run(1)
    assert len(journal.trace.hops) == 8


def test_what_is_dropped_is_what_the_port_had_received_before_it_was_written(path: Path) -> None:
    """What decoding remembers of a port outlives the rows."""
    traces = []
    for flushes in (True, False):
        with Journal(path, clock="step") as journal:
            build = Build(journal).actor("a", "worker")
            build.port("a:x", "REP", "inproc://x", receives="request", sends="answer", binds=True)
            build.receive("a:x", b"what is it?")
            if flushes:
                journal.flush()
            build.drop("a:x", b"what is it?")
        traces.append(Trace.load(path))
    assert traces[0] == traces[1]
    assert traces[0].events[-1].kind == "request"


def test_what_it_is_about_may_be_said_until_something_runs(path: Path) -> None:
    with Journal(path) as journal:
        journal.about(schedule="seeded", seed=3, clock="step", scenario="long " * 50)
        journal.about(scenario="short")
        assert (journal.trace.seed, journal.trace.scenario) == (3, "short")
        build = part(journal)
        journal.about(seed=3)
        with pytest.raises(RunError, match="says already what it is about, and has more lines"):
            journal.about(seed=4)
        build.run(2)
    assert (journal.trace.seed, journal.trace.clock) == (3, "step")
    assert journal.trace.events[-1].at == build.step


# ------------------------------------------------------------------------------------- its end


def test_it_may_be_closed_in_the_middle_of_being_written(path: Path) -> None:
    class Ending(Journal):
        """As where garbage is collected: what it hears ends while its thread writes."""

        def _wiring(self) -> Any:
            self.close()
            return super()._wiring()

    journal = Ending(path)
    Build(journal).link("a:push", "b:pull").send("a:push", message(1))
    thread = threading.Thread(target=journal.flush, daemon=True)
    thread.start()
    thread.join(8)
    assert not thread.is_alive()
    assert Trace.load(path).cut == ()
    assert [event.what for event in Trace.load(path).events][-1] == "send"


def test_what_comes_after_the_end_is_not_recorded(path: Path) -> None:
    journal = Journal(path, clock="step")
    build = part(journal)
    journal.close()
    data = path.read_bytes()
    build.run(2).actor("new", "worker").port("new:x", "PULL", "inproc://x").decide("send")
    build.receive("new:x", b"1")
    journal.close()
    journal.flush()
    assert path.read_bytes() == data
    assert kept(journal) == 0
    assert journal._decisions == []


def test_without_an_end_all_its_actors_are_cut(path: Path) -> None:
    with Journal(path, clock="step") as journal:
        part(journal)
        whole = path.read_bytes()
    cut = path.with_name("cut.jsonl")
    cut.write_bytes(whole)
    trace = Trace.load(cut)
    assert trace.cut == tuple(actor.id for actor in trace.actors) != ()
    assert len(trace.hops) == 8
    assert Trace.load(trace.save(path)) == trace


def test_wherever_it_is_cut_off_the_rest_is_a_trace(path: Path) -> None:
    with Journal(path, clock="step") as journal:
        part(journal)
    data = path.read_bytes()
    first, end = data.index(b"\n") + 1, data.rindex(b"\n", 0, -1) + 1
    lengths = []
    for size in range(first, len(data) - 1, 31):
        path.write_bytes(data[:size])
        trace = Trace.load(path)
        lengths.append(len(trace.events))
        assert bool(trace.cut) is bool(trace.actors)
    assert lengths == sorted(lengths)
    for size in (end, len(data) - 2):  # the end is not there, or is torn
        path.write_bytes(data[:size])
        assert Trace.load(path).cut
    path.write_bytes(data[:-1])  # all but the end of its line
    assert Trace.load(path).cut == ()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (b'{"is":"end","lines":1}\n', "the line above is the journal's end, and here is one more"),
        (b'{"is":"ev', "the line above is the journal's end"),
        (b"\n", "the line above is the journal's end"),
        (b'{"is":"decision","at":1,"kind":"x"}\n', "the line above is the journal's end"),
    ],
)
def test_nothing_follows_the_end(path: Path, more: bytes, says: str) -> None:
    with Journal(path, clock="step") as journal:
        part(journal)
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(TraceFileError, match=says):
        Trace.load(path)


def test_an_end_that_counts_otherwise_is_an_error(path: Path) -> None:
    with Journal(path, clock="step") as journal:
        part(journal)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-2], lines[-1]]))
    with pytest.raises(
        TraceFileError, match=r"line \d+: `lines` is \d+, but \d+ lines lie between"
    ):
        Trace.load(path)


def test_a_damaged_line_within_is_an_error(path: Path) -> None:
    with Journal(path, clock="step") as journal:
        part(journal)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[9] = lines[9][:40] + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(TraceFileError, match="line 10: it is no JSON"):
        Trace.load(path)


def test_only_a_journal_has_an_end(path: Path) -> None:
    with Journal(path, clock="step") as journal:
        part(journal)
    data = journal.trace.save(path).read_bytes()
    header, _, rest = data.partition(b"\n")
    told = json.loads(header)
    more = json.dumps({**told, "lines": told["lines"] + 1}).encode()
    path.write_bytes(more + b"\n" + rest + b'{"is":"end","lines":%d}\n' % told["lines"])
    with pytest.raises(TraceFileError, match='`is` is "end"'):
        Trace.load(path)


# --------------------------------------------------------------------- what becomes of the process

SCRIPT = """
import os, signal, sys
import pylm_lab as lab
from pylm_lab.scenarios import Greeter
from pylm_lab.trace.record.journal import Journal

journal = Journal(sys.argv[1])
with lab.Cluster() as cluster:
    cluster.attach(journal)
    cluster.add(lab.Master("server"))
    cluster.add(Greeter("worker"))
    client = cluster.client()
    for _ in client.job("server.foo", [b"a message"] * 500, messages=500):
        pass
    journal.flush()
    print("written", flush=True)
    for _ in client.job("server.foo", [b"more"] * 1_000_000, messages=1_000_000):
        pass
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL there")
def test_a_process_that_is_killed_leaves_what_it_did(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    trace = Trace.load(path)
    assert sum(event.what == "receive" and event.actor == "client" for event in trace.events) >= 500
    assert set(trace.cut) == {actor.id for actor in trace.actors}
    repr(trace)


FULL = """
import resource, signal, sys
import pylm_lab as lab
from pylm_lab.scenarios import Greeter
from pylm_lab.trace.record.journal import Journal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
journal = Journal(sys.argv[1])
with lab.Cluster() as cluster:
    cluster.attach(journal)
    cluster.add(lab.Master("server"))
    cluster.add(Greeter("worker"))
    client = cluster.client()
    for _ in range(3):
        print(len(list(client.job("server.foo", [b"a message"] * 50, messages=50))))
        journal.flush()
journal.close()
print(sum(len(tape.copy().at) for tape in journal._tapes.values()))
"""


def test_a_full_disk_ends_the_record_and_not_the_run(path: Path) -> None:
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["50", "50", "50", "0"]
    assert done.stderr.count("no more is recorded, since it can't be written") == 1
    assert "Traceback" not in done.stderr
    assert path.stat().st_size == 20_000
    assert Trace.load(path).cut


def test_an_error_of_ours_ends_the_record_and_not_the_run(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, logger="pylm_lab.trace"):
        journal = Journal(path)
        journal._wiring = None  # type: ignore[assignment, method-assign]
        part(journal).run(2)
        journal.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: no more is recorded, since it can't be written: 'NoneType' object is not callable"
    ]
    assert Trace.load(path) == Trace()


def test_an_interrupt_leaves_no_gap_that_nobody_sees(path: Path) -> None:
    def interrupted(_: object) -> Any:
        raise KeyboardInterrupt

    with Journal(path, clock="step") as journal:
        build = part(journal)
        build.run(2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal, "_happened", interrupted)
            with pytest.raises(KeyboardInterrupt):
                journal.flush()
        build.run(3)
    assert len(journal.trace.hops) == 8
    assert journal.trace.cut


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork there")
# What forks is the test; no thread of ours holds what the child needs.
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_child_leaves_the_file_to_its_parent(path: Path) -> None:
    with Journal(path, clock="step") as journal:
        build = part(journal)
        build.run(2)
        before = path.read_bytes()

        def child() -> None:
            build.run(3)
            journal.flush()
            journal.close()
            if journal.trace.hops:
                os._exit(7 if kept(journal) else 0)

        with journal._mutex:  # as if the thread were writing
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start()
            process.join(30)
            assert process.exitcode == 0
            assert path.read_bytes() == before
        build.run(4)
    assert journal.trace.cut == ()
    assert len(journal.trace.hops) == 3 * 8


# ------------------------------------------------------------------------------------ its place


@pytest.mark.parametrize("place", ["", "no such folder/t.jsonl", "a\0b"])
def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, place: str) -> None:
    with pytest.raises(OutputError, match="can't be written"):
        Journal(f"{tmp_path}/{place}")


def test_a_journal_is_not_compressed_and_has_no_limit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a journal is not compressed.*without \.gz"):
        Journal(tmp_path / "t.jsonl.GZ")
    with pytest.raises(ValueError, match="limit: a journal keeps nothing"):
        Journal(tmp_path / "t.jsonl", limit=10)
    with pytest.raises(TypeError):
        Journal(tmp_path / "t.jsonl", colour="red")
    assert list(tmp_path.iterdir()) == []
