"""Same seed, same bytes: across processes, hash seeds and the load of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pylm_lab as lab

#: Prints a line for each seed: its number, and a digest of the saved trace.
DIGESTS = """
import hashlib, sys, tempfile
from pathlib import Path
import pylm_lab as lab
name, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with tempfile.TemporaryDirectory() as folder:
    for seed in range(first, last):
        path = lab.scenarios[name].run(seed=seed).save(Path(folder) / "trace.jsonl")
        print(seed, hashlib.sha256(path.read_bytes()).hexdigest(), flush=True)
"""

BUSY = "while True: sum(range(1000))"


def digests(name: str, first: int, last: int, hash_seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DIGESTS, name, str(first), str(last)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
    )


def read(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    return output.splitlines()


@pytest.mark.timeout(300)
def test_seeds_of_the_parallel_scenario_are_the_same_in_two_processes_also_under_load(
    scale: int,
) -> None:
    seeds = 200 if scale == 1 else 1000
    busy: list[subprocess.Popen[bytes]] = []
    found: list[str] = []
    try:
        for half in range(2):
            first, last = half * seeds // 2, (half + 1) * seeds // 2
            if half:
                busy += [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
            pair = [digests("parallel", first, last, hash_seed) for hash_seed in (0, 4711)]
            one, other = read(pair[0]), read(pair[1])
            assert one == other
            found += one
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert len(found) == seeds
    assert len({line.split()[1] for line in found}) > seeds * 3 // 4


@pytest.mark.parametrize("name", [n for n in lab.scenarios if n != "parallel"])
def test_a_few_seeds_of_every_other_scenario_are_the_same_in_two_processes(
    name: str, scale: int
) -> None:
    pair = [digests(name, 0, 5 * scale, hash_seed) for hash_seed in (1, 2)]
    assert read(pair[0]) == read(pair[1])


def test_the_same_seed_twice_in_one_process_saves_the_same_bytes(tmp_path: Path) -> None:
    one, two = (
        lab.scenarios["scatter"].run(seed=3).save(tmp_path / f"{n}.jsonl") for n in range(2)
    )
    assert one.read_bytes() == two.read_bytes()
