"""Processes that record themselves, and what becomes of their traces when they are joined."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import foreign
import networkx as nx
import pytest
import zmq
from processes import Script, free_ports

import pylm_lab as lab
from pylm_lab.cli import main
from pylm_lab.cli.merging import Gathered, gather
from pylm_lab.recording import VARIABLE
from pylm_lab.trace import Trace

posix = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="sends signals to a process")

MASTER = """
import sys
from pylm_lab.servers import Master
pull, pub, worker_pull, worker_push, db = sys.argv[1:]
with Master("server", pull_address=pull, pub_address=pub, worker_pull_address=worker_pull,
            worker_push_address=worker_push, db_address=db):
    print("ready", flush=True)
    sys.stdin.read()
"""
WORKER = """
import sys, threading
from pylm_lab.servers import Worker
class Greeter(Worker):
    def foo(self, payload):
        if payload == b"stay":
            for journal in self.hooks:
                journal.flush()  # now, instead of a moment later
            print("stays", flush=True)
            threading.Event().wait()
        return self.name.encode() + b" processed " + payload
Greeter(sys.argv[1], db_address=sys.argv[2], log_level=30).start()
"""
CLIENT = """
import sys
from pylm_lab.clients import Client
places = dict(zip(("push_address", "sub_address"), sys.argv[3:]))
payloads = sys.argv[2].encode().split()
with Client("server", sys.argv[1], timeout=8, **places) as client:
    answers = [*payloads, b"stay"].index(b"stay")
    for answer in client.job("server.foo", payloads, messages=answers):
        print(answer.decode(), flush=True)
"""


#: Runs a client once so many workers have connected each of their three sockets, as their records
#: tell: to a worker that is late nothing would be dealt. Between two looks it sleeps, since another
#: process's file is no event.
ONCE_ALL_ARE_THERE = """
import os, pathlib, runpy, sys, time
def joined(path):
    return path.read_text(encoding="utf-8").count('"what":"connect"') >= 3
folder = pathlib.Path(os.environ["PYLM_LAB_TRACE"])
while sum(map(joined, folder.glob("worker*.jsonl"))) < int(sys.argv[1]):
    time.sleep(0.05)
script = sys.argv.pop()
sys.argv.pop()
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes record themselves, which is not there yet."""
    place = tmp_path / "traces" / "run"
    monkeypatch.setenv(VARIABLE, str(place))
    return place


@pytest.fixture
def places() -> list[str]:
    """Five addresses of a master: pull, pub, worker_pull, worker_push, db."""
    return free_ports(5)


@pytest.fixture
def master(folder: Path, places: list[str]) -> Iterator[Script]:
    """A master that records itself."""
    with Script(MASTER, *places) as script:
        assert script.line() == "ready"
        yield script


def asked(script: Script, answers: int) -> list[str]:
    """What a client prints, to its end."""
    lines = [script.line() for _ in range(answers)]
    assert script.wait("a client") == 0, script.errors
    return lines


def ended(*scripts: Script, folder: Path) -> Gathered:
    """What has been recorded, once these have ended."""
    for script in scripts:
        script.hang_up()
        assert script.process.returncode == 0, script.errors
    return gather([folder])


# The same causal graph


def shape(trace: Trace) -> nx.DiGraph[int]:
    """What led to what, with all that two runs have in common said of each hop.

    That is who it went from and to, what it is, and what it says. Messages are called by their
    numbers. In which order workers and client look up addresses, and which of the workers gets
    which message, is chance: so requests have no number, and a worker is a worker.
    """
    found: nx.DiGraph[int] = nx.DiGraph(trace.message_graph.edges)
    for n, about in trace.message_graph.nodes(data=True):
        number = about["message"] if about["kind"] == "message" else ""
        ends = (re.sub(r"worker\d", "a worker", about[end]) for end in ("source", "target"))
        found.add_node(n, told=(about["kind"], number, about["function"], about["stage"], *ends))
    return found


def alike(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Two hops say the same."""
    return one["told"] == other["told"]


@posix
@pytest.mark.parametrize("workers", [1, 2])
def test_a_cluster_of_processes_over_tcp_has_the_causal_graph_of_one_process(
    workers: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    root: Path,
) -> None:
    monkeypatch.chdir(root / "tests" / "scripts")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PYLM_LAB_PLACES", " ".join(free_ports(5)))
    file = tmp_path / "run.jsonl"
    scripts = [f"worker.py worker{n}" for n in range(1, workers + 1)]
    client = tmp_path / "client.py"
    client.write_text(ONCE_ALL_ARE_THERE, encoding="utf-8")
    asks = f"{client} {workers} {Path('client.py').absolute()}"
    assert main(["run", "master.py", *scripts, asks, "--trace", str(file)]) == 0
    told = capsys.readouterr().out
    assert f"{workers + 2} records" in told
    assert "Nothing was lost." in told
    joined = Trace.load(file)
    alone = lab.scenarios["parallel"].run(workers=workers)
    assert {a.id: a.role for a in joined.actors} == {a.id: a.role for a in alone.actors}
    wires = [sorted({(s, t) for s, t, _ in one.wiring.edges}) for one in (joined, alone)]
    assert wires[0] == wires[1]
    assert nx.is_isomorphic(shape(joined), shape(alone), node_match=alike)
    short = lab.scenarios["parallel"].run(workers=workers, messages=9)
    assert not nx.is_isomorphic(shape(joined), shape(short), node_match=alike)
    assert joined.check() == []
    assert set(joined.cut) == set()
    lab.draw(joined)


# Who dies, and who knows nothing of it


@posix
def test_a_worker_that_is_killed_leaves_what_it_did_and_is_named(
    master: Script, folder: Path, places: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with Script(WORKER, "worker1", places[4]) as worker:
        with Script(CLIENT, places[4], "one stay three") as client:
            assert asked(client, 1)[:1] == ["worker1 processed one"]
        assert worker.line() == "stays"
        worker.kill()
    found = ended(master, folder=folder)
    assert found.trace.cut == ("worker1",)
    assert found.missing[0] == "The record of worker1 ends early."
    assert not [one for one in found.trace.check() if not one.unsure]
    work = [h for h in found.trace.hops_of("message") if h.target == "worker1"]
    assert [found.trace.events[h.begins].excerpt for h in work][:2] == ["one", "stay"]
    assert main(["merge", str(folder)]) == 1
    assert "The record of worker1 ends early." in capsys.readouterr().out
    assert Trace.load(folder.with_name("run.jsonl")) == found.trace


def test_a_proxy_that_is_not_recorded_is_a_gap_and_the_order_holds(
    master: Script, folder: Path, places: list[str]
) -> None:
    with foreign.Peers() as peers, Script(WORKER, "worker1", places[4]) as worker:
        front, place = peers.bind(zmq.PULL)
        back = peers.connect(zmq.PUSH, places[0])
        with Script(CLIENT, places[4], "one two three", place) as client:
            for _ in range(3):
                back.send_multipart(front.recv_multipart())
            assert len(asked(client, 3)) == 3
        worker.process.send_signal(signal.SIGINT)
        worker.wait("a worker")
    found = ended(master, folder=folder)
    trace = found.trace
    hops = [h for h in trace.hops_of("message") if "client" in h.link or "server.Pull" in h.link]
    out = {h.message: h.sent for h in hops if h.source == "client"}
    into = {h.message: h.received for h in hops if h.target == "server.Pull"}
    assert out.keys() == into.keys()
    assert len(out) == 3
    assert all(sent is not None and sent < (into[id] or 0) for id, sent in out.items())
    assert {h.target for h in hops if h.source == "client"} == {""}
    assert trace.check() == []
    assert found.missing == [
        f"client was connected to {place}, where nobody is bound who was recorded: it sent 3 "
        "messages there.",
        f"server.Pull received 3 messages at {places[0]} from somebody who was not recorded.",
    ]
    assert found.apart == ""


@pytest.mark.parametrize("keeps", [True, False])
def test_a_worker_of_another_make_is_a_gap(
    keeps: bool, master: Script, folder: Path, places: list[str]
) -> None:
    with foreign.Peers() as peers:
        pull, push = peers.connect(zmq.PULL, places[3]), peers.connect(zmq.PUSH, places[2])
        with Script(CLIENT, places[4], "one two") as client:
            for _ in range(2):
                data = pull.recv()
                if not keeps:
                    fields = foreign.decode(data)
                    assert fields.pop(536870911)
                    numbers = {n: name for name, n in foreign.FIELDS.items()}
                    data = foreign.encode(**{numbers[n]: value for n, value in fields.items()})
                push.send(data)
            assert asked(client, 2) == ["one", "two"]
    found = ended(master, folder=folder)
    trace = found.trace
    assert trace.check() == []
    assert found.missing == [
        f"server.WorkerPull received 2 messages at {places[2]} from somebody who was not recorded.",
        f"server.WorkerPush sent 2 messages at {places[3]} to somebody who was not recorded.",
    ]
    assert "none was lost" in lab.draw(trace).alt
    asks = [h.message for h in trace.hops_of("message") if h.source == "client"]
    answers = [h.message for h in trace.hops_of("message") if h.target == "client"]
    assert (asks == answers) is keeps
    for message in asks if keeps else []:
        way = [f"{e.what} {e.actor}" for e in trace.events if e.message == message]
        there = way.index("send server.WorkerPush")
        assert there < way.index("receive server.WorkerPull")


# Who records


def script(text: str, *args: object) -> str:
    """Run it to its end; what it wrote to stderr."""
    with Script(text, *args) as running:
        assert running.wait("a script") == 0, running.errors
        return running.errors


def test_a_cluster_in_such_a_process_has_a_record_of_its_own_that_is_whole(
    folder: Path, tmp_path: Path
) -> None:
    text = """
import sys
import pylm_lab as lab
for seed in (1, 2):
    lab.scenarios["parallel"].run(seed=seed).save(f"{sys.argv[1]}{seed}.jsonl")
"""
    assert script(text, tmp_path / "own") == ""
    found = sorted((Trace.load(path) for path in folder.glob("*")), key=lambda one: one.seed or 0)
    own = [Trace.load(tmp_path / f"own{seed}.jsonl") for seed in (1, 2)]
    assert [one.decisions for one in found] == [one.decisions for one in own]
    assert found == own


def test_what_ends_with_the_process_is_recorded_to_its_end(folder: Path) -> None:
    text = """
import pylm_lab as lab
cluster = lab.Cluster()
import multiprocessing.util  # what it ends, it ends before the cluster
cluster.add(lab.Master("server"))
cluster.client("server").get("name")
"""
    assert script(text) == ""
    (path,) = folder.glob("*")
    trace = Trace.load(path)
    parts = {actor.id for actor in trace.actors if actor.server}
    assert parts
    assert parts <= {event.actor for event in trace.events if event.what == "stop"}


@posix
def test_a_forked_child_has_a_record_of_its_own(folder: Path) -> None:
    text = """
import multiprocessing, zmq
from pylm_lab.servers import Master
from pylm_lab.clients import Client
def ask(place):
    # A context does not outlive a fork: the child has to have its own.
    with zmq.Context() as own, Client("server", place, name="child", context=own) as client:
        assert client.get("name") == b"server"
with Master("server") as master:
    place = master.bypass_components["Cache"].listen_to.address
    with Client("server", place, name="parent") as client:
        pass
    child = multiprocessing.get_context("fork").Process(target=ask, args=(place,))
    child.start()
    child.join(8)
    code = child.exitcode
    child.kill()
    assert code == 0
"""
    script(text)
    found = gather([folder])
    assert [who for _, who in found.files] == ["child", "server, parent"]
    assert found.missing == []
    assert found.trace.check() == []


def test_a_folder_that_can_not_be_made_is_told_once_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file" / "traces"))
    text = """
import pylm_lab as lab
for _ in range(2):
    assert len(lab.scenarios["parallel"].run().hops)
"""
    errors = script(text)
    assert errors.count("PYLM_LAB_TRACE") == 1
    assert "Name a folder that can be written to" in errors


def test_who_only_imports_the_package_leaves_nothing_and_waits_for_nothing(folder: Path) -> None:
    text = "import sys, pylm_lab.hook; assert 'numpy' not in sys.modules"
    assert script(text) == ""
    assert not folder.exists()


# The command


def saved(folder: Path, *names: str) -> None:
    """A trace under each of these names."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(names):
        lab.scenarios["parallel"].run(seed=seed).save(folder / name)


def test_what_is_no_trace_is_named_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    saved(folder, "good-1.jsonl")
    good = (folder / "good-1.jsonl").read_bytes()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / ".hidden").write_text("", encoding="utf-8")
    assert main(["merge", str(folder), "-o", str(tmp_path / "a.jsonl")]) == 0
    told = capsys.readouterr().out
    assert "notes.txt is no trace, by its name: it is skipped." in told
    assert "hidden" not in told
    (folder / "other.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    (folder / "empty.jsonl").write_bytes(b"")
    (folder / "half.jsonl").write_bytes(good.replace(b'"is":"actor"', b'"is":"actress"', 1))
    assert main(["merge", str(folder), "-o", str(tmp_path / "b.jsonl")]) == 1
    told = capsys.readouterr().out
    assert re.search(r"other\.jsonl.*: this is no trace.* It is skipped\.", told)
    assert re.search(r"half\.jsonl, line 2: .*actress.* It is skipped\.", told)
    assert "empty.jsonl is empty: its process died before it did anything." in told
    assert Trace.load(tmp_path / "b.jsonl") == Trace.load(folder / "good-1.jsonl")


def test_a_folder_without_traces_says_how_to_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["merge", str(tmp_path), str(tmp_path)]) == 2
    assert "-o FILE" in capsys.readouterr().err
    assert main(["merge", str(tmp_path)]) == 2
    assert f"PYLM_LAB_TRACE={tmp_path}" in capsys.readouterr().err
    assert main(["merge", str(tmp_path / "none"), "-o", str(tmp_path / "x.jsonl")]) == 2
    assert "neither a folder nor a file" in capsys.readouterr().err


def test_two_runs_in_one_folder_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path / "run", "a-1.jsonl", "a-2.jsonl")
    assert main(["merge", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert "2 records" in told
    assert "Do they belong to different runs" in told


def test_scripts_that_record_nothing_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("print('nothing')", encoding="utf-8")
    assert main(["run", "a.py", "--trace", "x.jsonl"]) == 2
    assert "no script has recorded anything" in capsys.readouterr().err
    assert not Path("x.jsonl").exists()


def test_scripts_that_fail_leave_their_trace_in_the_folder_of_one_s_own_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "mine")
    saved(tmp_path / "mine", "earlier-1.jsonl")
    Path("a.py").write_text(
        "from pylm_lab.servers import Master\nwith Master('here'): pass\nraise SystemExit(3)",
        encoding="utf-8",
    )
    assert main(["run", "a.py", "--trace", "x.jsonl"]) == 1
    assert "1 record," in capsys.readouterr().out
    assert {actor.server for actor in Trace.load("x.jsonl").actors} == {"here"}
    assert len(list(Path("mine").iterdir())) == 2


def test_a_process_that_died_before_it_wrote_of_anybody_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    saved(folder, "good-1.jsonl")
    with (folder / "good-1.jsonl").open("rb") as good:
        head = good.readline()
    head = re.sub(rb'"lines":\d+', b'"lines":null', head)
    (folder / "dead-1.jsonl").write_bytes(head)
    assert main(["merge", str(folder)]) == 1
    told = capsys.readouterr().out
    assert "dead-1.jsonl tells of nobody: its process died before it wrote of any." in told
    assert "1 record," in told
    assert "Do they belong" not in told


def test_of_much_that_is_skipped_some_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    saved(folder, "good-1.jsonl")
    (folder / "a").mkdir()
    for n in range(30):
        (folder / f"note{n:02}.txt").write_text("mine", encoding="utf-8")
    assert main(["merge", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "\na is a folder in the folder: it is skipped.\n" in told
    assert "note18.txt" in told
    assert "note19.txt" not in told
    assert "\n… 11 more\n" in told


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["merge", str(tmp_path / "nowhere")]) == 2
    assert "nowhere' is neither a folder nor a file" in capsys.readouterr().err
