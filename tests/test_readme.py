"""What the README promises: its ten lines run, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import pylm_lab as lab
from pylm_lab.cli import main
from pylm_lab.errors import Deadlock
from pylm_lab.testing import Recording
from pylm_lab.trace import forget, invariants


def test_the_ten_lines_run_and_give_what_they_say(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(code) >= 2
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(code[0], "README.md", "exec"), names)
    assert len(names["answers"]) == 10
    trace = names["trace"]
    assert trace.check() == []
    assert trace.graph.number_of_edges() == len(trace.hops)
    with pytest.raises(Deadlock, match="client waits for a message"):
        exec(compile(code[1], "README.md", "exec"), names)
    lost = names["cluster"].trace.check()
    assert str(lost[0]) == (
        "Message 1 is lost between worker1 and WorkerPull: a rule drops the 1st message."
    )


def test_sockets_of_ones_own_are_recorded_as_it_says(root: Path, capsys: Any) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Your own sockets")[2].partition("\n## ")[0]
    program, shown, test = re.findall(r"```(?:python)?\n(.*?)```", section, flags=re.DOTALL)
    names: dict[str, Any] = {"lab": lab}
    exec(compile(program, "README.md", "exec"), names)
    try:
        printed = capsys.readouterr().out.splitlines()
        assert printed[0] == "b'hello world'"
        # All but the times, which are those of another machine.
        cells = [line.split(maxsplit=1)[1] for line in printed if "│" in line]
        assert cells == [line.split(maxsplit=1)[1] for line in shown.splitlines()[1:]]
    finally:
        for name in ("asker", "server"):
            names[name].close()
        names["context"].term()
    assert names["asker"].trace.check() == []
    exec(compile(test, "README.md", "exec"), names)
    recording = Recording(lab.Recorder())
    names["test_the_server_greets"](recording)
    assert len(recording.hops) == 2


def test_an_invariant_of_ones_own_is_asked_as_it_says(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    section = text.partition("## What no run should do")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `([a-z ]+)` \|", section, flags=re.MULTILINE)
    assert told == list(invariants())
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    with lab.Cluster(1) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(lab.Worker("worker1"))
        cluster.client("server").eval("server.echo", b"x" * 200)
    exec(compile(code, "README.md", "exec"), {"lab": lab})
    try:
        found = cluster.trace.check()
        assert len(found) == 8
        assert {finding.sentence for finding in found} == {"Message 1 is long."}
    finally:
        forget("short messages")
    assert cluster.trace.check() == []


def test_every_link_leads_to_a_file(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)|src(?:set)?=\"([^\"]+)\"", text)
    assert len(links) >= 9
    for link in links:
        target = "".join(link)
        assert (root / target).exists(), target


def test_every_command_that_it_names_exists(root: Path, capsys: Any) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^pylm-lab (\w+)", text, flags=re.MULTILINE))
    assert named == {
        *("tour", "list", "parts", "run", "step", "replay", "explore"),
        *("draw", "play", "export", "check", "merge", "bench", "figures"),
    }
    for command in sorted(named):
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0
    assert "usage: pylm-lab" in capsys.readouterr().out


def test_a_trace_answers_what_it_says(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Ask a trace")[2].partition("\n## ")[0]
    begin, *questions = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)[0].splitlines()
    names: dict[str, Any] = {"lab": lab}
    exec(begin, names)
    asked = [line.partition("  # ") for line in questions if line]
    assert len(asked) >= 5
    for question, _, answer in asked:
        assert str(eval(question, names)) == answer
