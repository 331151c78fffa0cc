"""The ready-made clusters, from one end to the other: answers, paths, conservation."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import pylm_lab as lab
from pylm_lab.errors import WiringError

RUNS = [(None, "inproc"), (None, "tcp"), (1, "inproc"), (2, "inproc")]
PATH = ["client", "Pull", "router", "WorkerPush", "worker", "WorkerPull", "router", "Pub", "client"]


def play(
    name: str, seed: int | None, transport: Any, **options: Any
) -> tuple[list[bytes], lab.Trace]:
    with lab.Cluster(seed, transport=transport) as cluster:
        answers = lab.scenarios[name].play(cluster, **options)
    return answers, cluster.trace


@pytest.mark.parametrize(("seed", "transport"), RUNS)
@pytest.mark.parametrize("name", lab.scenarios)
def test_every_run_of_every_scenario_passes_its_checks(
    name: str, seed: int | None, transport: str
) -> None:
    if seed and lab.scenarios[name].free_only:
        with pytest.raises(WiringError, match="that runs free only"):
            lab.scenarios[name].run(seed)
        return
    answers, trace = play(name, seed, transport)
    assert answers
    assert trace.check() == []


@pytest.mark.parametrize("name", ["parallel", "template"])
def test_ten_messages_are_answered_by_two_workers_along_the_documented_path(name: str) -> None:
    answers, trace = play(name, 1, "inproc")
    assert Counter(answers) == {
        b"worker1 processed a message": 5,
        b"worker2 processed a message": 5,
    }
    messages = [id for id, number in trace.numbers.items() if number.isdigit()]
    assert len(messages) == 10
    for message in messages:
        labels = [trace.labels[actor].rstrip("12") for actor in trace.path(message)]
        assert labels == PATH


def test_the_cache_is_asked_without_the_router() -> None:
    answers, trace = play("cache", 1, "inproc")
    assert answers == [b"the cache says forty-two"] * 3
    asked = [hop for hop in trace.hops_of("request") if hop.target == "server.Cache"]
    assert {hop.source for hop in asked} == {"client", "worker1"}


def test_a_scattered_message_comes_back_three_times_and_its_copies_are_its_children() -> None:
    answers, trace = play("scatter", 1, "inproc")
    assert len(answers) == 12
    assert sorted(n for n in trace.numbers.values() if n[0] != "r") == sorted(
        number for first in "1234" for number in (first, f"{first}.1", f"{first}.2")
    )


def test_the_last_answer_is_replaced_on_its_way_back() -> None:
    answers, _ = play("gather", 1, "inproc")
    assert answers[-1] == b"the last one"
    assert all(b"processed" in answer for answer in answers[:-1])


def test_options_choose_the_size() -> None:
    answers, trace = play("parallel", 1, "inproc", messages=6, workers=3)
    assert sorted(Counter(answers).values()) == [2, 2, 2]
    assert sum(actor.role == "worker" for actor in trace.actors) == 3


def test_an_unknown_option_or_scenario_names_what_there_is() -> None:
    with pytest.raises(WiringError, match="'parallel' has no option 'wrokers': it has messages"):
        lab.scenarios["parallel"].run(wrokers=3)
    with pytest.raises(WiringError, match="'paralel': did you mean 'parallel'"):
        lab.scenarios["paralel"]


def test_the_scenarios_are_a_mapping_that_prints_itself() -> None:
    assert "parallel" in lab.scenarios
    assert len(lab.scenarios) == len(list(lab.scenarios)) >= 5
    for name in lab.scenarios:
        scenario = lab.scenarios[name]
        assert scenario.name == name
        assert scenario.summary.endswith((".", "between."))
        assert repr(scenario).startswith(f"<Scenario {name}")
