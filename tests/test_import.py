"""Importing pylm_lab costs next to nothing, and each half of it loads only its own libraries.

Asserted on the modules that a fresh interpreter has loaded: that is the cause, and doesn't depend
on the machine. How long it takes is printed (`pytest -rP tests/test_import.py`) and kept in the
report (`--junit-xml`), and judged by nobody but the reader.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

DRAWING = {"matplotlib", "networkx", "IPython", "PIL"}
#: What a trace is held by; who only runs, recorded or not, needs none.
HOLDING = {"numpy"}
RUNNING = {"zmq", "google.protobuf"}


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has after the code, less those of a bare one."""
    return fresh(code) - fresh("")


def fresh(code: str) -> set[str]:
    """All modules that a fresh interpreter has after the code."""
    code += "\nimport json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_no_library() -> None:
    modules = loaded("import pylm_lab")
    assert "pylm_lab" in modules
    assert modules & (DRAWING | RUNNING | HOLDING) == set()


def test_looking_around_loads_no_library() -> None:
    assert (
        loaded("import pylm_lab; dir(pylm_lab); pylm_lab.__all__") & (DRAWING | RUNNING | HOLDING)
        == set()
    )


@pytest.mark.parametrize(
    "name", ["Cluster", "Master", "Worker", "Client", "ServerTemplate", "Hook", "watch"]
)
def test_what_runs_loads_nothing_that_draws(name: str) -> None:
    modules = loaded(f"import pylm_lab; pylm_lab.{name}")
    assert modules & (DRAWING | HOLDING) == set()


def test_who_only_records_loads_nothing_that_draws() -> None:
    assert loaded("import pylm_lab; pylm_lab.Recorder") & (RUNNING | DRAWING | HOLDING) == set()


@pytest.mark.parametrize("name", ["Trace", "Recorder"])
def test_a_trace_is_read_without_what_runs_or_draws(name: str) -> None:
    modules = loaded(f"import pylm_lab; pylm_lab.{name}")
    assert modules & (RUNNING | DRAWING) == set()
    assert not [m for m in modules if m.startswith(("pylm_lab.parts", "pylm_lab.draw"))]


def test_a_scene_is_laid_out_without_a_drawing_library(root: Path) -> None:
    """All of draw but the painters, which test_layers.py names."""
    painters = {"figure", "animation", "player", "live", "__init__"}
    package = root / "pylm_lab"
    paths = (path.relative_to(root).with_suffix("") for path in (package / "draw").rglob("*.py"))
    names = sorted(".".join(path.parts) for path in paths if path.parts[2] not in painters)
    modules = loaded("\n".join(f"import {name}" for name in names))
    assert "pylm_lab.draw.scene" in modules
    assert modules & {"matplotlib", "IPython", "PIL", *RUNNING} == set()


def test_importing_starts_no_thread_and_opens_nothing() -> None:
    code = """
import os, threading
def count():
    there = os.path.isdir("/proc/self/fd")
    return threading.active_count(), len(os.listdir("/proc/self/fd")) if there else 0
before = count()
import pylm_lab
assert count() == before, (before, count())
"""
    fresh(code)


def test_how_long_it_takes_is_told(record_property: Callable[[str, object], None]) -> None:
    def seconds(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        return time.perf_counter() - start

    seconds("import pylm_lab")  # warm: the files are read and compiled
    pairs = [(seconds("import pylm_lab"), seconds("pass")) for _ in range(5)]
    took = 1000 * statistics.median(ours - bare for ours, bare in pairs)
    record_property("import_ms", round(took, 1))
    print(f"import pylm_lab: {took:.1f} ms, warm, without the interpreter's own start")


@pytest.mark.parametrize("first", ["play", "animate", "draw", "scenarios", "check"])
def test_every_public_name_is_what_it_should_be_whatever_was_used_before(first: str) -> None:
    script = (
        "import sys, pylm_lab as lab\n"
        f"getattr(lab, {first!r})\n"
        "from pylm_lab.scenarios import build_master\n"
        "print(type(lab.draw(build_master())).__name__, lab.scenarios['parallel'].name)\n"
        "import pylm_lab.draw.scene\n"
        "print(callable(lab.draw), all(callable(getattr(lab, n)) for n in ('play', 'animate')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "Picture parallel\nTrue True\n", done.stderr
