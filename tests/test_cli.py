"""The command: what it prints, what it writes, and what it says when something is wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

import pylm_lab as lab
from pylm_lab.cli import main
from pylm_lab.scenarios import Scenario
from pylm_lab.trace import forget

FILES = ["flow.gif", "graph.json", "player.html", "router.png", "router.svg", "trace.jsonl"]


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a tour with seed 1, and what it printed."""
    place = tmp_path_factory.mktemp("tour")
    done = subprocess.run(
        [sys.executable, "-m", "pylm_lab", "tour", "--seed", "1", "--out", place / "out"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONIOENCODING": "utf-8"},
        check=True,
    )
    return place / "out", done.stdout


def test_the_tour_prints_the_answers_the_hops_and_the_counts(tour: tuple[Path, str]) -> None:
    _, text = tour
    assert text.startswith("10 answers:\n")
    for worker in ("worker1", "worker2"):
        assert text.count(f"{worker} processed a message") == 5
    for way in ("client → Pull", "WorkerPush → worker1", "router → Pub", "Pub → client"):
        assert way in text
    counts = [line.split() for line in text.splitlines() if " → " in line and line[:9].strip()]
    assert ["10", "10", "client", "→", "Pull"] in counts
    assert "Nothing was lost." in text
    for name in FILES:
        assert f"  {name}" in text


def test_the_tour_writes_six_files_the_same_each_time(tour: tuple[Path, str]) -> None:
    folder, _ = tour
    assert sorted(os.listdir(folder)) == FILES
    before = {name: (folder / name).read_bytes() for name in FILES}
    subprocess.run(
        [sys.executable, "-m", "pylm_lab", "tour", "--seed", "1", "--out", folder],
        capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": "2", "PYTHONIOENCODING": "utf-8"},
        check=True,
    )
    assert {name: (folder / name).read_bytes() for name in FILES} == before


def test_the_files_of_the_tour_are_what_they_seem(tour: tuple[Path, str]) -> None:
    folder, _ = tour
    trace = lab.Trace.load(folder / "trace.jsonl")
    assert (trace.seed, trace.scenario) == (1, "parallel")
    graph = nx.node_link_graph(
        json.loads((folder / "graph.json").read_text(encoding="utf-8")), edges="edges"
    )
    assert graph.number_of_edges() == trace.graph.number_of_edges()
    assert (folder / "router.svg").read_bytes().startswith(b"<?xml")
    assert (folder / "router.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "flow.gif").read_bytes().startswith(b"GIF89a")
    assert (folder / "player.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("kind", ["foreign file", "foreign folder", "lookalike", "is a file"])
def test_what_is_not_ours_is_left_alone(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    if kind == "is a file":
        folder.write_text("mine", encoding="utf-8", newline="\n")
    else:
        folder.mkdir()
        name = {"foreign file": "notes.txt", "lookalike": "router.svg"}.get(kind, "flow.gif")
        if kind == "foreign folder":
            (folder / name).mkdir()
        else:
            (folder / name).write_text("mine", encoding="utf-8", newline="\n")
    before = sorted(tmp_path.rglob("*"))
    assert main(["tour", "--seed", "1", "--out", str(folder)]) == 2
    assert f"pylm-lab: {folder}" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_run_saves_a_trace_that_can_be_drawn_played_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "mine.jsonl"
    run = ["run", "parallel", "--seed", "3", "--set", "workers=3", "--trace", str(trace)]
    assert main(run) == 0
    assert "worker3 processed a message" in capsys.readouterr().out
    assert main(["draw", str(trace)]) == 0
    assert main(["play", str(trace)]) == 0
    assert sorted(os.listdir(tmp_path)) == ["mine.html", "mine.jsonl", "mine.svg"]
    capsys.readouterr()
    assert main(["check", str(trace)]) == 0
    assert "all is well" in capsys.readouterr().out


def test_check_prints_what_it_finds_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.jsonl"
    trace = lab.scenarios["parallel"].run(seed=1)
    last = [e for e in trace.events if (e.what, e.port) == ("receive", "worker1:pull")][-1]
    dataclasses.replace(trace, events=tuple(e for e in trace.events if e is not last)).save(path)
    assert main(["check", str(path)]) == 1
    assert "worker1" in capsys.readouterr().out


def test_check_shows_the_hops_of_what_it_finds_and_says_what_it_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.jsonl"
    broken = [lab.faults.drop("WorkerPush→worker1", nth=2), lab.faults.reorder("client→Pull")]
    with (
        lab.scenarios["parallel"].cluster(1, faults=broken) as cluster,
        contextlib.suppress(lab.LabError),
    ):
        lab.scenarios["parallel"].play(cluster)
    cluster.trace.save(path)
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "conservation: Message 3 is lost between WorkerPush and worker1: a rule drops the 2nd"
        " message.",
        "        step   message  from → to",
        "         119         3  WorkerPush → worker1  lost at 123",
        "order: Message 2 overtook message 1 between client and Pull.",
        "        step   message  from → to",
        "          77         1  client → Pull  received at 85",
        "          78         2  client → Pull  received at 80",
        f"{path}: 2 findings by 8 invariants over {len(cluster.trace.hops)} hops",
    ]
    assert main(["check", str(path), "--only", "stages", "--only", "bypass"]) == 0
    assert "all is well, by 2 invariants over" in capsys.readouterr().out
    assert main(["check", str(path), "--only", "ordr"]) == 2
    assert "do you mean 'order'?" in capsys.readouterr().err


def test_check_shows_names_that_are_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = [lab.faults.drop("WorkerPush→worker1", nth=1)]
    with (
        lab.scenarios["parallel"].cluster(1, faults=broken) as cluster,
        contextlib.suppress(lab.LabError),
    ):
        lab.scenarios["parallel"].play(cluster)
    actors = [
        dataclasses.replace(actor, label=f"\x1b[2J{actor.label}") for actor in cluster.trace.actors
    ]
    path = dataclasses.replace(cluster.trace, actors=tuple(actors)).save(tmp_path / "run.jsonl")
    assert main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[2JWorkerPush → \\x1b[2Jworker1  lost" in out


def test_check_of_a_record_that_is_not_whole_is_no_clean_bill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "part.jsonl"
    trace = lab.scenarios["parallel"].run(seed=1)
    dataclasses.replace(trace, forgotten=3).save(path)
    assert main(["check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "complete: 3 earlier events were forgotten" in out
    assert f"{path}: nothing found, but not everything can be told, by 8 invariants" in out
    assert main(["check", str(path), "--only", "order"]) == 0


def test_check_shows_some_of_a_thousand_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @lab.invariant("every hop")
    def every(trace: lab.Trace) -> list[tuple[str, list[int]]]:
        return [(f"Hop {n}.", [n, *range(20)]) for n in range(60)]

    path = lab.scenarios["parallel"].run(seed=1).save(tmp_path / "fine.jsonl")
    try:
        assert main(["check", str(path)]) == 1
    finally:
        forget("every hop")
    out = capsys.readouterr().out
    assert out.count("every hop: Hop") == 10
    assert "every hop: … 50 more findings" in out
    assert out.count("… 16 more hops") == 10
    assert len(out.splitlines()) == 10 * 8 + 2
    assert out.endswith("60 findings by 9 invariants over 95 hops\n")


def test_a_file_that_is_there_already_is_replaced_only_when_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "there.jsonl"
    path.write_text("mine", encoding="utf-8", newline="\n")
    assert main(["run", "parallel", "--seed", "1", "--trace", str(path)]) == 2
    assert "say --force" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "mine"
    assert main(["run", "parallel", "--seed", "1", "--trace", str(path), "--force"]) == 0
    assert lab.Trace.load(path).seed == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "paralel"], "did you mean 'parallel'"),
        (["run", "parallel", "--set", "workers"], "write NAME=NUMBER"),
        (["run", "parallel", "--set", "wrokers=3"], "no option 'wrokers'"),
        (["run", "parallel", "--seed", "1", "--tcp"], "inproc"),
        (["run", "parallel", "--fault", "drop(1"], "'drop(1' is no fault"),
        (["run", "gateway", "--seed", "1"], "free only: without a seed, a schedule or a replay"),
        (["explore", "gateway"], "free only: without a seed, a schedule or a replay"),
        (["explore", "paralel"], "did you mean 'parallel'"),
        (["explore", "parallel", "--set", "budget=3"], "no option 'budget'"),
        (["explore", "parallel", "--budget", "0"], "budget=0"),
        (["replay", "absent.jsonl"], "absent.jsonl can't be read: No such file"),
        (["check", "absent.jsonl"], "absent.jsonl can't be read: No such file"),
        (["check", "."], "."),
        (["draw", "README.md"], "README.md"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str],
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "README.md").write_text("# no trace\n", encoding="utf-8", newline="\n")
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("…")]
    assert len(errors) == 1
    assert errors[0].startswith("pylm-lab: ")
    assert text in errors[0]


def test_list_shows_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for name in lab.scenarios:
        assert f"{name} " in text


def test_list_marks_what_runs_free_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    marked = [line for line in capsys.readouterr().out.splitlines() if "Runs free only." in line]
    assert [line.split()[0] for line in marked] == ["gateway", "http"]


def test_the_server_to_draw_can_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = str(tmp_path / "mine.jsonl")
    lab.scenarios["pipeline"].run(seed=1, messages=1).save(trace)
    told, pages = [], []
    for server in ("server", "pipeline"):
        assert main(["draw", trace, "--server", server, "--force"]) == 0
        told.append(capsys.readouterr().out)
        assert lab.draw(lab.Trace.load(trace), server=server).alt in told[-1]
        assert main(["play", trace, "--server", server, "--force"]) == 0
        capsys.readouterr()
        pages.append((tmp_path / "mine.html").read_text(encoding="utf-8"))
        assert pages[-1] == lab.play(lab.Trace.load(trace), server=server).html
    assert len(set(told)) == len(set(pages)) == 2
    for command in ("draw", "play"):
        assert main([command, trace, "--server", "third"]) == 2
        assert "third" in capsys.readouterr().err


def test_what_can_t_be_drawn_is_told_before_that_a_file_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "mine.jsonl"
    lab.scenarios["parallel"].run(seed=1, messages=1).save(trace)
    for kind in ("svg", "html"):
        (tmp_path / f"mine.{kind}").touch()
    for option in ("view", "theme", "format"):
        assert main(["draw", str(trace), f"--{option}", "odd"]) == 2
        assert f"no {option} 'odd'" in capsys.readouterr().err
    assert main(["play", str(trace), "--server", "odd"]) == 2
    assert "'odd'" in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, text in ((["--help"], "pylm-lab tour"), (["--version"], lab.__version__)):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        assert text in capsys.readouterr().out


# -------------------------------------------------------------------------- faults, replay, explore

LOST = "drop('WorkerPush->worker1', nth=2)"


def test_a_fault_of_a_seeded_run_is_told_and_its_trace_saved_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, again = tmp_path / "mine.jsonl", tmp_path / "again.jsonl"
    run = ["run", "parallel", "--seed", "1", "--set", "workers=3", "--fault", LOST]
    assert main([*run, "--trace", str(path)]) == 2
    out, errors = capsys.readouterr()
    lost = "Message 4 is lost between WorkerPush and worker1: a rule drops the 2nd message."
    assert f"\nWhat the faults did, and what was lost:\n  {lost}\n" in out
    assert f"\nconservation: {lost}\n" in out
    assert "pylm-lab: nothing can move any more at step " in errors
    assert main(["replay", str(path), "--trace", str(again)]) == 0
    assert capsys.readouterr().out.startswith("The same run, in all of ")
    assert lab.Trace.load(again).events == lab.Trace.load(path).events


def test_several_faults_of_a_free_run_act_and_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    faults = ["duplicate('client->Pull')", "corrupt('Pub->client', 'payload', 'other', nth=0)"]
    asked = [word for fault in faults for word in ("--fault", fault)]
    assert main(["run", "parallel", "--set", "messages=2", *asked]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 answers:\n   1  other\n   2  other\n")
    assert "\n  Message 1 is doubled before Pull: a rule doubles the 1st message.\n" in out
    assert " is changed on its way to client: a rule changes the payload of each message." in out


def test_a_free_run_that_never_ends_is_given_up_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.jsonl"
    run = ["run", "parallel", "--fault", LOST, "--timeout", "0.5", "--trace", str(path)]
    assert main(run) == 2
    out, errors = capsys.readouterr()
    assert "is lost between WorkerPush and worker1: a rule drops the 2nd message" in out
    assert "pylm-lab: parallel has not ended in 0.5 s: client waits for a message" in errors
    assert lab.Trace.load(path).check()


def test_a_fault_that_never_acts_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "parallel", "--seed", "1", "--fault", "crash('worker1', nth=90)"]) == 0
    assert capsys.readouterr().out.endswith("\nNo fault has acted.\n\nNothing was lost.\n")


def test_a_fault_of_somebody_who_takes_no_part_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "parallel", "--seed", "1", "--fault", "drop('clent->Pull')"]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.splitlines()[-1].endswith("nobody is called 'clent'; did you mean 'client'?")


def test_a_trace_of_a_tour_can_be_replayed(
    tour: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(tour[0] / "trace.jsonl")]) == 0
    assert capsys.readouterr().out.startswith("The same run, in all of ")


def test_replay_tells_the_first_difference_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.jsonl"
    trace = lab.scenarios["parallel"].run(seed=1)
    dataclasses.replace(trace, options={"messages": 9, "workers": 2}).save(path)
    assert main(["replay", str(path)]) == 1
    assert capsys.readouterr().out.startswith("It first differs at step ")


def test_what_is_not_there_to_be_replayed_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "free.jsonl"
    lab.scenarios["parallel"].run().save(path)
    assert main(["replay", str(path)]) == 2
    assert "this trace has no decisions to run along" in capsys.readouterr().err
    assert main(["replay", str(path), "--trace", str(path)]) == 2
    assert f"{path} is there already" in capsys.readouterr().err


def test_explore_finds_nothing_where_nothing_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.jsonl"
    explore = ["explore", "parallel", "--set", "messages=1", "--budget", "3", "--trace", str(path)]
    assert main(explore) == 0
    assert "no schedule broke the check" in capsys.readouterr().out
    assert not path.exists()


def test_explore_saves_what_it_finds_shortened_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parallel = lab.scenarios["parallel"]

    def impatient(cluster: lab.Cluster, messages: int = 3) -> list[bytes]:
        """A scenario that wants the answers in the order of the questions."""
        answers = parallel.play(cluster, messages=messages)
        assert answers == [f"worker{2 - n % 2} processed a message".encode() for n in (1, 2, 3)]
        return answers

    monkeypatch.setattr("pylm_lab.cli.running.get", lambda name: Scenario(impatient))
    path = tmp_path / "found.jsonl"
    explore = ["explore", "impatient", "--budget", "300", "--trace", str(path)]
    assert main([*explore, "--seed", "3"]) == 1
    out = capsys.readouterr().out
    assert "a schedule breaks the check" in out
    assert "seed       3" in out
    assert out.endswith(f"\nThe trace is in {path}.\n")
    assert lab.Trace.load(path).decisions


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_is_said_in_one_line_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pylm_lab", "run", "parallel", "--set", "messages=100000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("…")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.endswith("pylm-lab: interrupted\n")
    assert os.listdir(tmp_path) == []
