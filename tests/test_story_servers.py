"""The story of servers that work themselves, feed each other, or speak HTTP."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from server_cases import http_service, http_worker

import pylm_lab
from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.player import play
from pylm_lab.draw.story import Step, tell
from pylm_lab.draw.story.past import names_server
from pylm_lab.trace import Trace


def steps(trace: Trace) -> tuple[Step, ...]:
    return tell(trace, kinds=("message", "answer"))


def said(trace: Trace, number: str, sources: Sequence[str]) -> list[str]:
    """The sentences of a message's hops from these actors."""
    return [s.sentence for s in steps(trace) if s.number == number and s.source in sources]


def test_the_part_that_runs_the_function_says_so() -> None:
    trace = pylm_lab.scenarios["single"].run(seed=1)
    assert said(trace, "1", ["server.Pub"]) == [
        "Pub runs server.foo on message 1 and publishes it under its client's id;"
        " only that client has subscribed to it."
    ]


def test_a_server_publishes_for_the_next_one_under_its_own_name() -> None:
    trace = pylm_lab.scenarios["pipeline"].run(seed=1)
    assert said(trace, "2", ["server.Pub", "pipeline.Sub", "pipeline.Pub"]) == [
        "server.Pub runs server.foo on message 2 and publishes it under its server's name;"
        " only Sub has subscribed to it.",
        "Sub hands message 2 to the router of pipeline.",
        "pipeline.Pub runs pipeline.foo on message 2 and publishes it under its client's id;"
        " only that client has subscribed to it.",
    ]


def test_what_goes_to_several_names_each_and_a_topic_of_its_own_is_told() -> None:
    trace = pylm_lab.scenarios["tee"].run(seed=1)
    assert {text.partition(";")[2] for text in said(trace, "1", ["server.Pub"])} == {
        " pipeline.Sub is one of 2 that have subscribed to it.",
        " pipeline2.Sub is one of 2 that have subscribed to it.",
    }
    trace = pylm_lab.scenarios["stream"].run(seed=1)
    assert [text for n in "12" for text in said(trace, n, ["server.Pub"])] == [
        "server.Pub publishes message 1 under the topic odd;"
        " only pipeline.Sub has subscribed to it.",
        "server.Pub publishes message 2 under the topic even;"
        " only pipeline2.Sub has subscribed to it.",
    ]


def test_a_part_that_changes_what_a_worker_gave_is_not_said_to_run_a_function() -> None:
    trace = pylm_lab.scenarios["gather"].run(seed=1)
    [last] = said(trace, "6", ["server.Pub"])
    assert last.startswith("Pub changes message 6 and publishes it under its client's id;")
    [first] = said(trace, "1", ["server.Pub"])
    assert first.startswith("Pub publishes message 1 under")


def test_the_whole_server_waits_for_a_web_worker() -> None:
    trace = pylm_lab.scenarios["http"].run(messages=1)
    told = [step for step in steps(trace) if "worker1" in (step.source, step.target)]
    assert [step.sentence for step in told] == [
        "Http gives message 1 to worker1 over HTTP."
        " The whole server waits: Http blocks until worker1 answers.",
        "worker1 works on message 1 and answers Http.",
    ]
    assert [step.status["server.Http"] for step in told] == ["waits for worker1"] * 2


def test_a_gateway_gives_back_to_whoever_asked() -> None:
    trace = pylm_lab.scenarios["gateway"].run(messages=1)
    names = ["browser", "server.HttpGateway", "server.gateway_dealer", "server.gateway_router"]
    assert said(trace, "1", names) == [
        "browser sends message 1 to HttpGateway over HTTP.",
        "HttpGateway gives message 1 to gateway_router.",
        "gateway_router hands message 1 to the router.",
        "gateway_dealer gives message 1 to gateway_router.",
        "gateway_router gives message 1 back to HttpGateway.",
        "HttpGateway gives message 1 back to browser over HTTP.",
    ]


def test_who_speaks_http_and_is_not_recorded_is_no_loss() -> None:
    told = [step for step in steps(http_worker(1, recorded=False)) if "server.Http" in step.link]
    assert not any(step.lost for step in told)
    assert [step.sentence for step in told][1:3] == [
        "Http gives message 1 to a web worker over HTTP. Http blocks until the web worker answers.",
        "A web worker answers Http.",
    ]
    told = [s for s in steps(http_service(1)) if "server.HttpService" in s.link]
    assert [step.sentence for step in told] == [
        "HttpService takes message 1 from a web client over HTTP.",
        "HttpService hands message 1 to the router.",
        "HttpService answers a web client.",
    ]
    assert [step.title for step in told][::2] == [
        "1: web client → HttpService",
        "HttpService → web client",
    ]


@pytest.mark.parametrize("trace", [http_worker(2, recorded=False), http_service(2)])
def test_who_speaks_http_and_is_not_recorded_has_a_way_and_a_count(trace: Trace) -> None:
    scene = router_scene(trace)
    [peer] = [id for id, _ in scene.counts if id.endswith(" peer")]
    told = [step for step in steps(trace) if peer in step.link]
    assert len(told) == 4
    assert all(step.arrives and step.link in scene.runs for step in told)
    assert sum((peer, "") in step.adds for step in told) == 2


@pytest.mark.parametrize(
    ("name", "server", "same"),
    [
        ("pipeline", "pipeline", True),
        ("pipeline", "pipeline2", True),
        ("pipeline2", "pipeline2-2", True),
        ("pipe", "pipeline", False),
        ("", "server", False),
        ("server", "", False),
    ],
)
def test_an_id_belongs_to_a_name_if_only_a_number_follows(
    name: str, server: str, same: bool
) -> None:
    assert names_server(name, server) is same


def test_the_player_tells_the_answer_of_a_web_worker_with_the_messages() -> None:
    trace = pylm_lab.scenarios["http"].run(messages=1)
    html = play(trace).html
    kinds, minor = (_column(html, name) for name in ("kind", "minor"))
    shown = {trace_kind for trace_kind, hidden in zip(kinds, minor, strict=True) if not hidden}
    assert len(shown) == 2
    assert any(minor)


def _column(html: str, name: str) -> list[int]:
    _, _, rest = html.partition(f'"{name}":[')
    return [int(one) for one in rest.partition("]")[0].split(",")]
