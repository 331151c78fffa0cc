"""What the README promises: its ten lines run, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pylm_lab.cli import main
from pylm_lab.errors import Deadlock


def test_the_ten_lines_run_and_give_what_they_say(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(code) == 2
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
        *("draw", "play", "check", "bench", "figures"),
    }
    for command in sorted(named):
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0
    assert "usage: pylm-lab" in capsys.readouterr().out
