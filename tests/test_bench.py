"""`pylm-lab bench`: that it measures what it says, and how it ends. No test looks at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
import zmq

from pylm_lab.bench import processes, raw, routed
from pylm_lab.bench.chain import INTO, OUT, Chain, latencies, throughput
from pylm_lab.bench.job import Job
from pylm_lab.bench.pin import pinned
from pylm_lab.bench.suite import Found, Suite
from pylm_lab.bench.variants import GROUPS
from pylm_lab.cli import main
from pylm_lab.errors import LabError, RunError
from pylm_lab.hook import Hook, Port

IN_ONE_PROCESS = [name for name in GROUPS if name != "processes"]


def run(*arguments: str) -> int:
    return main(["bench", "--messages", "300", "--rounds", "1", *arguments])


# What is printed and written


def test_the_table_tells_what_was_measured_and_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--only", "throughput", "--only", "start", "--rounds", "2") == 0
    out, err = capsys.readouterr()
    head, how, *_ = out.splitlines()
    assert head == (
        f"pylm-lab bench: Python {sys.version.split()[0].rstrip('+')}, "
        f"pyzmq {zmq.pyzmq_version()}, libzmq {zmq.zmq_version()}"
    )
    assert how.startswith("300 messages of 100 bytes, 2 rounds, ")
    assert "pinned to one core" in how
    titles = [line for line in out.splitlines() if line.startswith(("Throughput", "Start"))]
    assert titles == [GROUPS["throughput"].title, GROUPS["start"].title]
    rows = [line for line in out.splitlines() if line.startswith("  ")]
    figures = [f for g in ("throughput", "start") for v in GROUPS[g].variants for f in v.figures]
    for row, figure in zip(rows, figures, strict=True):
        assert row.startswith(f"  {figure.what}  ")
        assert f" {figure.unit} " in row
        assert " to " in row
        assert row.endswith(" ×") == bool(figure.base)
    assert len({row.index("(") + len(row.partition("(")[2].partition(")")[0]) for row in rows}) == 1
    assert "round 1 of 2, throughput: raw lockstep" in err
    assert "round 2 of 2, start: tcp" in err


def test_on_a_terminal_progress_is_one_line_that_is_gone_in_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("--only", "start") == 0
    told = capsys.readouterr().err
    assert "\n" not in told
    assert told.endswith("start: tcp\r\x1b[K")


def test_the_json_has_the_documented_keys_and_every_round(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    assert run("--only", "latency", "--only", "start", "--rounds", "2", "--json", str(path)) == 0
    found = json.loads(path.read_text(encoding="utf-8"))
    assert list(found) == ["python", "pyzmq", "libzmq", "messages", "rounds", "pinned", "groups"]
    assert (found["messages"], found["rounds"]) == (300, 2)
    assert [(g["name"], g["messages"]) for g in found["groups"]] == [("latency", 30), ("start", 0)]
    for group in found["groups"]:
        assert list(group) == ["name", "title", "messages", "ratio", "rows"]
        for row in group["rows"]:
            keys = ["what", "unit", "median", "lowest", "highest", "ratio", "rounds"]
            assert list(row) == keys
            assert row["lowest"] <= row["median"] <= row["highest"]
            assert [row["lowest"], row["highest"]] == sorted(row["rounds"])
    ratios = {row["what"]: row["ratio"] for g in found["groups"] for row in g["rows"]}
    assert ratios["raw lockstep, p50"] == ratios["raw lockstep, p99"] == 1
    assert ratios["inproc"] is None


def test_nothing_tells_whose_machine_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.json"
    assert run("--only", "start", "--json", str(path)) == 0
    table = capsys.readouterr().out.partition("Written: ")[0]
    for text in (path.read_text(encoding="utf-8"), table):
        assert str(tmp_path) not in text
        assert sys.prefix not in text


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_a_plot_is_written_for_each_suffix(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"found.{suffix}"
    assert run("--only", "start", "--plot", str(path)) == 0
    begins = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(begins[suffix])


def test_the_plot_shows_every_figure_and_cuts_no_text() -> None:
    from pylm_lab.bench import plot
    from pylm_lab.draw.metrics import advance
    from pylm_lab.draw.scene import Text

    found = Suite(300, 1, IN_ONE_PROCESS).run()
    scene = plot.scene(found)
    texts = [item for item in scene.items if isinstance(item, Text)]
    shown = {text.text for text in texts}
    assert set(whats(found)) <= shown
    for text in texts:
        width = advance(text.text, text.size, text.bold)
        begin = text.x - width if text.anchor == "end" else text.x
        assert begin >= 0
        assert begin + width <= scene.width
        assert text.y < scene.height
    assert len({item.id for item in scene.items}) == len(scene.items)
    for what in whats(found):
        assert what in scene.alt


def whats(found: Found) -> Iterable[str]:
    return [one.figure.what for _, measured in found.groups for one in measured]


def test_matplotlib_is_loaded_for_a_plot_only() -> None:
    code = (
        "import sys; from pylm_lab.cli import main; "
        "main(['bench', '--messages', '5', '--rounds', '1', '--only', 'start']); "
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


# What is measured


@pytest.mark.parametrize("group", IN_ONE_PROCESS)
def test_every_variant_does_its_job(group: str) -> None:
    """Each checks itself that all messages came, in order; more than the largest window."""
    found = Suite(200 if group == "trace" else 2500, 1, [group]).run()
    assert [g.name for g, _ in found.groups] == [group]
    assert all(len(one.rounds) == 1 for _, measured in found.groups for one in measured)


def test_the_processes_do_their_job_and_end() -> None:
    found = Suite(300, 1, ["processes"]).run()
    assert [what.partition(",")[0] for what in whats(found)] == ["pylm_lab", "pylm_lab"]


def test_the_bases_are_there() -> None:
    for group in GROUPS.values():
        figures = [figure for variant in group.variants for figure in variant.figures]
        assert {figure.base for figure in figures} - {""} <= {figure.what for figure in figures}
        assert len({figure.what for figure in figures}) == len(figures)
        assert bool(group.ratio) == any(figure.base for figure in figures)


def test_all_rounds_run_every_variant_in_turn() -> None:
    heard: list[str] = []
    Suite(10, 2, ["start", "latency"]).run(heard.append)
    assert [text.split(":")[0] for text in heard] == [
        f"round {number} of 2, {group}"
        for number in (1, 2)
        for group in ("latency", "latency", "latency", "start", "start")
    ]


class Cheat(Chain):
    """Does to the list of messages what it is told to."""

    name = "a cheat"
    trick = "none"

    def open(self) -> None:
        self.pull = self.socket(zmq.PULL, bind=INTO)
        self.push = self.socket(zmq.PUSH, bind=OUT)

    def launch(self) -> None:
        self.start(self._run)

    def _run(self) -> None:
        if self.trick == "fails":
            raise ValueError("no luck")
        found = [self.pull.recv() for _ in range(self.count)]
        if self.trick == "order":
            found[1], found[2] = found[2], found[1]
        elif self.trick == "changed":
            found[-1] = found[-1][:-1]
        elif self.trick == "twice":
            found.append(found[-1])
        elif self.trick == "lost":
            del found[-1]
        for data in found:
            self.push.send(data)


@pytest.mark.parametrize(
    ("trick", "text"),
    [
        ("order", "their order: .* message 1 of 4"),
        ("changed", "has changed .* message 3 of 4"),
        ("twice", "more than the 4"),
        ("lost", "delivered 3 of 4"),
        ("fails", "a cheat failed: no luck"),
    ],
)
def test_a_chain_that_does_not_do_its_job_has_no_figure(
    trick: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pylm_lab.bench.chain.DEADLINE", 0.1)
    monkeypatch.setattr(Cheat, "trick", trick)
    with pytest.raises(RunError, match=text):
        throughput(Cheat(Job(4)))


def test_a_chain_that_does_it_has_one() -> None:
    assert throughput(Cheat(Job(4))) > 0


class Failing(Hook):
    def hops_sent(self, port: Port, batch: list[list[bytes]], at: int | list[int]) -> None:
        raise ZeroDivisionError


def test_a_hook_that_fails_has_no_figure() -> None:
    with pytest.raises(RunError, match="the hook failed"):
        throughput(routed.Routed(Job(10), hook=Failing))


@pytest.mark.parametrize("chain", [raw.Lockstep, raw.Proxies, raw.OneThread, routed.Routed])
def test_a_chain_that_is_ended_too_early_leaves_nothing(chain: type[Chain]) -> None:
    """The leak check of every test looks."""
    with chain(Job(1000)) as made:
        made.open()
        source, _ = made.ends()
        for _ in range(10):
            source.send(b"")
        made.launch()


@pytest.mark.parametrize("chain", [raw.Lockstep, raw.Proxies, raw.OneThread, routed.Routed])
def test_a_chain_that_is_never_launched_leaves_nothing(chain: type[Chain]) -> None:
    with chain(Job(1)) as made:
        made.open()
    with chain(Job(1)):
        pass


def test_latencies_has_one_for_each_message() -> None:
    assert len(latencies(routed.Routed(Job(7)))) == 7


def test_a_process_that_ends_too_early_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    if os.name == "posix":
        with pytest.raises(RunError, match="the master in its process has ended too early"):
            processes.answers(Job(1), lockstep=False)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this platform can't pin")
def test_it_runs_on_one_core_and_afterwards_on_all() -> None:
    before = os.sched_getaffinity(0)
    with pinned() as is_pinned:
        assert is_pinned
        assert len(os.sched_getaffinity(0)) == 1
        seen: list[set[int]] = []
        thread = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
        thread.start()
        thread.join()
        assert len(seen[0]) == 1
    assert os.sched_getaffinity(0) == before


def test_where_nothing_can_be_pinned_the_table_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert run("--only", "start") == 0
    assert "1 round, not pinned to one core" in capsys.readouterr().out


# What is wrong is said before anything runs


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--messages", "0"], "--messages 0: choose 1 or more"),
        (["--rounds", "-1"], "--rounds -1: choose 1 or more"),
        (["--only", "throughputs"], "did you mean 'throughput'?"),
        (["--only", "xyz"], "choose throughput, recording, latency, start, processes, trace"),
        (["--plot", "found.jpeg"], "end the name in .svg, .png, .pdf"),
        (["--plot", "found"], "end the name in .svg, .png, .pdf"),
        (["--plot", "there.svg"], "there.svg is there already"),
        (["--json", "there.svg"], "there.svg is there already"),
        (["--json", "absent/found.json"], "absent is no folder"),
        (["--json", "found.svg", "--plot", "found.svg"], "--json and --plot"),
    ],
)
def test_bad_values_are_one_clear_line(
    arguments: list[str],
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "there.svg").write_text("mine", encoding="utf-8", newline="\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(Suite, "run")
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("pylm-lab: ")
    assert text in line
    assert os.listdir(tmp_path) == ["there.svg"]


def test_a_number_that_is_none_is_an_error_of_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", "--messages", "many"])
    assert end.value.code == 2
    assert "--messages" in capsys.readouterr().err


def test_a_file_is_replaced_when_forced(tmp_path: Path) -> None:
    path = tmp_path / "there.json"
    path.write_text("mine", encoding="utf-8", newline="\n")
    assert run("--only", "start", "--json", str(path), "--force") == 0
    assert json.loads(path.read_text(encoding="utf-8"))["messages"] == 300


def test_an_error_in_the_middle_ends_with_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> float:
        raise LabError("nobody answers")

    monkeypatch.setattr(routed, "first_answer", fail)
    assert run("--only", "start") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "pylm-lab: nobody answers"


# Ctrl-C


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize(
    ("group", "after"),
    [
        ("throughput", "raw lockstep"),
        ("throughput", "zmq.proxy"),
        ("throughput", "pylm_lab"),
        ("latency", "raw lockstep"),
        ("processes", "pylm_lab"),
        ("trace", "networkx"),
    ],
)
def test_ctrl_c_ends_it_and_all_that_it_has_started(group: str, after: str, tmp_path: Path) -> None:
    mark = f"PYLM_LAB_TEST_{os.getpid()}_{group}_{after.partition(' ')[0].replace('.', '_')}"
    command = [sys.executable, "-m", "pylm_lab", "bench", "--messages", "50000", "--only", group]
    process = subprocess.Popen(
        [*command, "--json", str(tmp_path / "found.json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", mark: "1"},
    )
    assert process.stderr is not None
    while after not in (line := process.stderr.readline()):
        assert line, "it ended too early"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert err.endswith("\npylm-lab: interrupted\n")
    assert "Traceback" not in err
    assert os.listdir(tmp_path) == []
    # A process that it has started ends when its input does, a moment later.
    pause, end = threading.Event(), time.monotonic() + 5
    while (left := list(marked(mark))) and time.monotonic() < end:
        pause.wait(0.02)
    assert left == []


def marked(mark: str) -> Iterable[str]:
    """The processes that have this in their environment, where the system tells."""
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            found = place.read_bytes()
        except OSError:
            continue  # somebody else's, or gone
        if mark.encode() in found:
            yield place.parent.name
