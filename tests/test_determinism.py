"""Same seed, same bytes: across processes, hash seeds and the load of the machine; and again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pylm_lab as lab

#: Prints a line for each scenario and seed: its name, the number, a digest of the saved trace, and
#: whether it has run the same again along its decisions, or where that differs.
DIGESTS = """
import hashlib, sys, tempfile
from pathlib import Path
import pylm_lab as lab
names, first, last, again = sys.argv[1], *map(int, sys.argv[2:])
with tempfile.TemporaryDirectory() as folder:
    for name, seed in ((name, seed) for name in names.split() for seed in range(first, last)):
        trace = lab.scenarios[name].run(seed=seed)
        path = trace.save(Path(folder) / "trace.jsonl")
        told = "-"
        if again:
            replayed = lab.replay(trace)
            same = replayed.trace.events == trace.events
            same = same and replayed.trace.decisions == trace.decisions and not replayed.error
            told = "same" if same and not replayed.divergence else f"{replayed!r}"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(name, seed, digest, told, sep="\\t", flush=True)
"""

BUSY = "while True: sum(range(1000))"


def digests(
    names: str, first: int, last: int, hash_seed: int, *, again: bool
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DIGESTS, names, str(first), str(last), str(int(again))],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
    )


def read(process: subprocess.Popen[str]) -> list[list[str]]:
    try:
        output, _ = process.communicate(timeout=600)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    return [line.split("\t") for line in output.splitlines()]


@contextmanager
def load() -> Iterator[None]:
    """Two processes that use what time they get."""
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def same_twice(names: str, first: int, last: int) -> list[tuple[str, str]]:
    """Run the seeds in two processes, one of which runs each again; returns names and digests."""
    pair = [digests(names, first, last, hash_seed, again=not hash_seed) for hash_seed in (0, 4711)]
    try:
        one, other = (read(process) for process in pair)
    finally:
        for process in pair:
            process.kill()
            process.wait()
    assert [line[:3] for line in one] == [line[:3] for line in other]
    assert [line for line in one if line[3] != "same"] == []
    return [(line[0], line[2]) for line in one]


CONTROLLED = [name for name in lab.scenarios if not lab.scenarios[name].free_only]
OTHERS = [name for name in CONTROLLED if name != "parallel"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("names", ["parallel", " ".join(OTHERS[::2]), " ".join(OTHERS[1::2])])
def test_seeds_are_the_same_in_two_processes_also_under_load_and_run_the_same_again(
    names: str, scale: int
) -> None:
    """In the full run it is 100 seeds of each scenario: new ones join by being listed."""
    seeds = (40 if names == "parallel" else 10) if scale == 1 else 100 * scale // 5
    found = same_twice(names, 0, seeds // 2)
    with load():
        found += same_twice(names, seeds // 2, seeds)
    for name in names.split():
        own = [digest for whose, digest in found if whose == name]
        assert len(own) == seeds
        # With few messages some seeds happen to decide alike.
        assert len(set(own)) > seeds // 2


def test_the_same_seed_twice_in_one_process_saves_the_same_bytes(tmp_path: Path) -> None:
    one, two = (
        lab.scenarios["scatter"].run(seed=3).save(tmp_path / f"{n}.jsonl") for n in range(2)
    )
    assert one.read_bytes() == two.read_bytes()
