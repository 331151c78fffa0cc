"""The clusters of several servers, and those that work themselves: answers and documented paths."""

from __future__ import annotations

import logging
from collections import Counter
from itertools import pairwise

import pytest

import pylm_lab as lab

START = "client server.Pull server.router"
PIPELINE = "pipeline.Sub pipeline.router pipeline.Pub"
SECOND = PIPELINE.replace("pipeline.", "pipeline2.")
WORKED = "server.WorkerPush worker* server.WorkerPull server.router server.Pub"
HUB = "hub.Sub hub.router hub.WorkerPush worker* hub.WorkerPull hub.router hub.Pub"

#: Where messages go: all of them, or the odd and the even ones. A message may go more than one way.
PATHS: dict[str, list[list[str]]] = {
    "single": [[f"{START} server.Pub client"]],
    "logging": [[f"{START} {WORKED} client"]],
    "error": [[f"{START} {WORKED} client"]],
    "pipeline": [[f"{START} server.Pub {PIPELINE} client"]],
    "tee": [
        [
            f"{START} server.Pub {PIPELINE} client",
            f"{START} server.Pub pipeline2.Sub pipeline2.router pipeline2.Pub",
        ]
    ],
    "stream": [
        [f"{START} server.Pub {PIPELINE} client"],
        [f"{START} server.Pub {SECOND} client"],
    ],
    "sink": [
        [f"{START} server.Pub {PIPELINE} sink.Sub1 sink.router sink.Pub client"],
        [f"{START} server.Pub {SECOND} sink.Sub2 sink.router sink.Pub client"],
    ],
    "master_pipeline": [[f"{START} {WORKED} {PIPELINE} client"]],
    "server_hub": [[f"{START} server.Pub {HUB} client"]],
}

#: What comes back of 1, 2, 3, 4, sorted.
ANSWERS = {
    "single": ["server(1)", "server(2)", "server(3)", "server(4)"],
    "error": ["0", "0", "1", "2"],
    "pipeline": [f"pipeline(server({n}))" for n in range(1, 5)],
    "tee": [f"pipeline(server({n}))" for n in range(1, 5)],
    "stream": [f"pipeline({n})" for n in range(1, 5)],
    "sink": [f"sink(pipeline({n}))" for n in range(1, 5)],
    "master_pipeline": [f"pipeline(worker processed {n})" for n in range(1, 5)],
    "server_hub": [f"worker processed server({n})" for n in range(1, 5)],
}


def play(name: str, seed: int | None, transport: str) -> tuple[list[bytes], lab.Trace]:
    with lab.Cluster(seed, transport=transport) as cluster:  # type: ignore[arg-type]
        answers = lab.scenarios[name].play(cluster)
    return answers, cluster.trace


def plain(actor: str) -> str:
    return actor.replace("worker1", "worker*").replace("worker2", "worker*")


@pytest.mark.parametrize(("seed", "transport"), [(None, "tcp"), (1, "inproc")])
@pytest.mark.parametrize("name", PATHS)
def test_messages_are_answered_along_the_documented_path(
    name: str, seed: int | None, transport: str
) -> None:
    answers, trace = play(name, seed, transport)
    if name in ANSWERS:
        told = [one.decode().replace("worker1", "worker") for one in answers]
        assert sorted(one.replace("worker2", "worker") for one in told) == ANSWERS[name]
    found = {id: number for id, number in trace.numbers.items() if number.isdigit()}
    assert len(found) == 4
    for id, number in found.items():
        ways = PATHS[name][(int(number) + 1) % len(PATHS[name])]
        edges = Counter({edge for way in ways for edge in pairwise(way.split())})
        hops = [hop for hop in trace.hops_of("message") if hop.message == id]
        crossed = Counter((plain(hop.source), plain(hop.target)) for hop in hops)
        # Free, what answers nobody may be on its way when the client has all that it waits for.
        assert crossed == edges if seed else crossed <= edges


def test_a_mux_worker_gives_three_answers_that_are_children_of_one_message() -> None:
    answers, trace = play("mux", 1, "inproc")
    parts = Counter(answer.split()[0] for answer in answers)
    assert parts == {b"first": 4, b"second": 4, b"third": 4}
    assert sorted(n for n in trace.numbers.values() if n[0] != "r") == sorted(
        number for first in "1234" for number in (first, f"{first}.1", f"{first}.2")
    )


def test_both_pipelines_of_a_tee_have_the_name_that_the_function_asks_for() -> None:
    _, trace = play("tee", 1, "inproc")
    assert {a.server for a in trace.actors if a.server} == {"server", "pipeline", "pipeline2"}
    heard = [hop for hop in trace.hops_of("message") if hop.target == "pipeline2.Pub"]
    assert len(heard) == 4
    assert not [hop for hop in trace.hops_of("message") if hop.source == "pipeline2.Pub"]


def test_the_worker_writes_a_line_for_each_message_into_its_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, logger="pylm_lab.worker1"):
        play("logging", 1, "inproc")
    lines = [r.getMessage() for r in caplog.records if "has b'a message'" in r.getMessage()]
    assert len(lines) == 4


def test_an_error_is_told_in_the_log_and_in_the_message(caplog: pytest.LogCaptureFixture) -> None:
    answers, _ = play("error", 1, "inproc")
    assert Counter(answers) == {b"0": 2, b"1": 1, b"2": 1}
    assert caplog.text.count("ValueError: 1 is odd") == 1


@pytest.mark.parametrize("name", PATHS)
def test_a_run_is_replayed_along_its_decisions(name: str) -> None:
    trace = lab.scenarios[name].run(seed=3)
    again = lab.replay(trace)
    assert again.divergence is None
    assert again.trace.events == trace.events
