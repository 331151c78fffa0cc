"""What is no record of a run, or no longer: one clear error, or a divergence, and always an end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from planted import ask, events, recorded

import pylm_lab as lab
from pylm_lab import faults
from pylm_lab.errors import LabError, WiringError
from pylm_lab.hook import Decision
from pylm_lab.rerun import replay
from pylm_lab.trace import Trace

DROP = faults.drop("WorkerPush→worker1", nth=2)
TRACE = recorded(ask())


def edited(*decisions: Decision) -> Trace:
    return replace(TRACE, decisions=decisions)


D = TRACE.decisions
PLACES = range(0, len(D) - 2, 23)


@pytest.mark.parametrize("n", PLACES)
@pytest.mark.parametrize("kind", ["dropped", "swapped", "doubled", "actor", "port", "unknown kind"])
def test_edited_decisions_are_a_divergence_and_no_crash(n: int, kind: str) -> None:
    middle = {
        "dropped": D[n + 1 : n + 2],
        "swapped": (D[n + 1], D[n]),
        "doubled": (D[n], D[n], D[n + 1]),
        "actor": (replace(D[n], actor="nobody"), D[n + 1]),
        "port": (replace(D[n], port="nowhere"), D[n + 1]),
        "unknown kind": (replace(D[n], kind="dance"), D[n + 1]),
    }[kind]
    again = replay(edited(*D[:n], *middle, *D[n + 2 :]), ask(), limit=5000)
    assert again.divergence is not None
    assert again.divergence.step >= D[n].at
    # The run goes on, to its end.
    assert len(again.result) == 4


def test_a_fault_that_was_written_into_a_record_is_named_where_it_strikes() -> None:
    hit = events(TRACE, "receive", "worker1")[1].at
    again = replay(edited(Decision(at=0, kind="inject", text=repr(DROP)), *D), ask(), limit=5000)
    assert again.divergence is not None
    assert again.divergence.step == hit
    assert "a rule drops the 2nd message" in again.divergence.sentence
    assert isinstance(again.error, LabError)


def test_a_record_with_a_broken_fault_is_one_clear_error() -> None:
    broken = edited(Decision(at=0, kind="inject", text="rubbish()"), *D)
    with pytest.raises(WiringError, match=r"'rubbish\(\)' is no fault"):
        replay(broken, ask())


FREE = lab.scenarios["parallel"].run(messages=1)


@pytest.mark.parametrize(
    ("trace", "play", "told"),
    [
        (FREE, None, "no decisions to run along: its schedule was 'free'"),
        (FREE, ask(), "no decisions to run along: its schedule was 'free'"),
        (Trace(), None, "nothing tells what to run"),
        (Trace(), ask(), "no decisions to run along"),
        (edited(D[-1]), None, "nothing tells what to run"),
        (replace(TRACE, scenario="paralel"), None, "nothing tells what to run"),
        (TRACE, "parallel", "play='parallel': give a function"),
        (None, ask(), "None: give it a trace"),
        ("trace.jsonl", None, "'trace.jsonl'"),
        ("trace.jsonl", ask(), "'trace.jsonl': give it a trace"),
    ],
)
def test_what_can_not_be_replayed_is_one_clear_error(trace: Any, play: Any, told: str) -> None:
    with pytest.raises(WiringError, match=told):
        replay(trace, play)


@pytest.mark.parametrize(
    "more", [{"seed": 1}, {"schedule": "stepped"}, {"schedule": "free"}, {"transport": "tcp"}]
)
def test_a_replay_brings_its_own_schedule(more: dict[str, Any]) -> None:
    with pytest.raises(WiringError, match="replay"):
        lab.Cluster(replay=TRACE, **more)
