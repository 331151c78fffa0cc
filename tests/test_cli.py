"""The command: what it prints, what it writes, and what it says when something is wrong."""

from __future__ import annotations

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


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, text in ((["--help"], "pylm-lab tour"), (["--version"], lab.__version__)):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0
        assert text in capsys.readouterr().out


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
