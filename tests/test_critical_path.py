"""Critical path: what the answer to a message waited for."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab.errors import UnknownName
from pylm_lab.trace import Trace

SEEDED = [name for name in lab.scenarios if not lab.scenarios[name].free_only]


@pytest.fixture(scope="module", params=SEEDED)
def scenario(request: pytest.FixtureRequest) -> Trace:
    """A run of each scenario that can be seeded."""
    return lab.scenarios[request.param].run(seed=1)


def pieces(trace: Trace, number: str | int) -> list[tuple[str, str, str, int]]:
    """What, where and of what each piece is, and how long it lasts."""
    return [
        (piece.what, piece.actor, " ".join(piece.messages) or piece.kind, piece.lasting)
        for piece in trace.critical_path(number)
    ]


def echo() -> Build:
    """A client and a worker that answers it."""
    return Build(clock="ns").link("client:push", "worker:pull").link("worker:push", "client:pull")


def test_a_lone_message_waits_for_nothing_but_itself() -> None:
    build = echo()
    build.send("client:push", message(1), at=10).receive("worker:pull", message(1), at=30)
    build.send("worker:push", message(1), at=130).receive("client:pull", message(1), at=135)
    path = build.trace.critical_path("1")
    assert pieces(build.trace, 1) == [
        ("crossing", "worker", "1", 20),
        ("working", "worker", "1", 100),
        ("crossing", "client", "1", 5),
    ]
    assert path.total == 125 == path.message.latency.total
    assert path.slowest == path[1]
    assert path.sentence == "Slowest: worker worked on message 1 for 0.1 µs; of 0.1 µs in all."
    assert [*path] == [*path[:]]
    assert path[-1].source == "worker"


def test_it_leads_through_what_the_worker_did_before() -> None:
    build = echo()
    build.send("client:push", message(1), at=10).send("client:push", message(2), at=20)
    build.receive("worker:pull", message(1), at=30)
    build.send("worker:push", message(1), at=500)
    build.receive("worker:pull", message(2), at=510).send("worker:push", message(2), at=560)
    build.receive("client:pull", message(1), at=505).receive("client:pull", message(2), at=570)
    trace = build.trace
    assert pieces(trace, 2) == [
        # It was sent while the first was on its way, for which the worker waited.
        ("crossing", "worker", "1", 10),
        ("working", "worker", "1", 470),
        ("queueing", "worker", "2", 10),
        ("working", "worker", "2", 50),
        ("crossing", "client", "2", 10),
    ]
    assert trace.critical_path(2).total == 550
    assert trace.critical_path(2).sentence.startswith("Slowest: worker worked on message 1 for")


def test_it_leads_through_whoever_gave_the_credit() -> None:
    build = Build(clock="ns").link("client:push", "in:pull")
    build.port("in:broker", "DEALER", "inproc://r", sends="message", receives="credit", outer=False)
    build.actor("router", "router")
    ends: dict[str, Any] = {"sends": "credit", "receives": "message", "outer": False}
    build.port("router:inbound", "ROUTER", "inproc://r", binds=True, **ends)
    build.send("client:push", message(1), at=10).receive("in:pull", message(1), at=20)
    build.send("in:broker", b"", message(1), at=30)
    build.receive("router:inbound", b"in", b"", message(1), at=40)
    build.send("client:push", message(2), at=50).receive("in:pull", message(2), at=60)
    build.send("router:inbound", b"in", b"", b"1", at=700).receive("in:broker", b"", b"1", at=710)
    build.send("in:broker", b"", message(2), at=720)
    build.receive("router:inbound", b"in", b"", message(2), at=730)
    trace = build.trace
    assert trace.messages[2].latency.holding == 650
    path = trace.critical_path(2)
    assert [(piece.what, piece.actor, piece.kind, piece.lasting) for piece in path] == [
        ("working", "router", "credit", 650),
        ("crossing", "in", "credit", 10),
        ("working", "in", "message", 10),
        ("crossing", "router", "message", 10),
    ]
    assert "router worked on an acknowledgement" in path.sentence


def test_what_an_actor_did_to_others_in_a_row_is_one_piece() -> None:
    build = echo()
    for id in range(1, 8):
        build.send("client:push", message(id), at=id * 10)
    for id in range(1, 8):
        build.receive("worker:pull", message(id), at=id * 100)
        build.send("worker:push", message(id), at=id * 100 + 50)
        build.receive("client:pull", message(id), at=id * 100 + 60)
    trace = build.trace
    path = trace.critical_path(7)
    assert [(piece.what, piece.messages, piece.lasting) for piece in path[-4:]] == [
        ("working", ("1", "2", "3", "4", "5", "6"), 550),
        ("queueing", ("7",), 50),
        ("working", ("7",), 50),
        ("crossing", ("7",), 10),
    ]
    assert "messages 1, 2, 3 and 3 more" in repr(path)
    assert path.total == 690


def test_somebody_who_was_not_recorded_is_told() -> None:
    build = Build(clock="ns").actor("a", "client")
    build.port("a:push", "PUSH", "tcp://far:1", sends="message")
    build.port("a:pull", "PULL", "tcp://far:2", receives="message")
    build.send("a:push", message(1), at=10).receive("a:pull", message(1), at=90)
    path = build.trace.critical_path(1)
    assert [(piece.what, piece.unseen) for piece in path] == [("crossing", True)]
    assert "with somebody who was not recorded" in path.sentence


def test_a_message_that_took_no_time_says_so() -> None:
    build = Build(clock="ns").link("a:push", "b:pull").send("a:push", message(1), at=10)
    path = build.trace.critical_path(1)
    assert (len(path), path.total, path.slowest) == (0, 0, None)
    assert path.sentence == "Message 1 took no time."
    assert repr(path).endswith("Message 1 took no time.")


def test_the_pieces_add_up_to_exactly_the_time_that_the_message_took(scenario: Trace) -> None:
    for one in (*scenario.messages, *scenario.messages.requests):
        path = scenario.critical_path(one)
        assert path.total == one.latency.total == sum(piece.lasting for piece in path)
        assert path[0].begins == one.begins
        assert path[-1].ends == one.ends
        assert [piece.begins for piece in path[1:]] == [piece.ends for piece in path[:-1]]
        for piece in path:
            assert piece.lasting > 0
            assert (piece.what == "crossing") == bool(piece.source)
            assert scenario.events[piece.until].actor == piece.actor
            assert scenario.events[piece.until].at == piece.ends
        assert repr(path).count("\n") <= 25
        assert path._repr_html_().startswith("<table>")


def test_a_free_run_adds_up_too() -> None:
    trace = lab.scenarios["parallel"].run()
    for one in trace.messages:
        assert trace.critical_path(one).total == one.ends - one.begins


def test_a_message_is_called_as_everywhere() -> None:
    trace = lab.scenarios["parallel"].run(seed=1)
    paths = [trace.critical_path(name) for name in (3, "3", trace.messages[3].id)]
    assert len({repr(path) for path in paths}) == 1
    assert repr(trace.filter(message=3).critical_path(3)) == repr(paths[0])
    with pytest.raises(UnknownName, match="no message 'three'"):
        trace.critical_path("three")


def test_what_is_no_message_is_one_error() -> None:
    trace = lab.scenarios["parallel"].run(seed=1)
    for wanted in (None, 2.5, [1], "x"):
        with pytest.raises(UnknownName, match="the trace has no message"):
            trace.critical_path(wanted)  # type: ignore[arg-type]
    assert trace.critical_path(trace.messages[1]).total == trace.critical_path(1).total


def test_where_the_record_is_not_whole_no_time_is_only_what_it_tells() -> None:
    build = Build(clock="ns").link("a:push", "b:pull").send("a:push", message(1), at=10)
    path = dataclasses.replace(build.trace, forgotten=7).critical_path(1)
    assert path.sentence == "What the record tells of message 1 took no time."
