"""Messages: the whole journey of each, and where its time went."""

from __future__ import annotations

from collections import Counter

import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab.errors import Deadlock, LabError
from pylm_lab.trace import Trace
from pylm_lab.trace.ask.latency import Latency
from pylm_lab.trace.ask.messages import Message

SEEDED = [name for name in lab.scenarios if not lab.scenarios[name].free_only]
MASTER = [
    *("client", "server.Pull", "server.router", "server.WorkerPush", "worker1"),
    *("server.WorkerPull", "server.router", "server.Pub", "client"),
]


@pytest.fixture(scope="module", params=SEEDED)
def scenario(request: pytest.FixtureRequest) -> Trace:
    """A run of each scenario that can be seeded."""
    return lab.scenarios[request.param].run(seed=1)


def there_and_back() -> Trace:
    """Three messages through a master, one of which stays with a worker."""
    build = Build().master()
    build.run(1, worker="worker1").run(2, worker="worker2").run(3, until="worker1:pull")
    return build.end()


# ------------------------------------------------------------------------------------- the sequence


def test_messages_come_in_order_and_are_found_by_number_and_by_id() -> None:
    trace = there_and_back()
    assert [one.number for one in trace.messages] == ["1", "2", "3"]
    assert len(trace.messages) == 3
    for one in trace.messages:
        assert trace.messages[one.number] == trace.messages[int(one.number)] == one
        assert trace.messages[one.id] == one
        assert {one: 1}[trace.messages[one.id]] == 1
        assert one.number in trace.messages
        assert one in trace.messages
    assert "4" not in trace.messages
    assert there_and_back().messages[1] not in trace.messages


def test_a_number_that_is_not_there_is_a_key_error_with_a_hint() -> None:
    messages = there_and_back().messages
    with pytest.raises(KeyError, match="no message '11': did you mean '1'"):
        messages["11"]
    with pytest.raises(LabError, match="no message 0: there are 1, 2, 3"):
        messages[0]
    assert None not in messages


def test_a_message_tells_where_it_was() -> None:
    trace = there_and_back()
    one, three = trace.messages[1], trace.messages[3]
    assert [*one.path] == MASTER
    assert one.hops == tuple(hop for hop in trace.hops if hop.message == one.id)
    assert (one.kind, one.function, one.parent, one.children) == ("message", "server.foo", None, ())
    assert (one.answered, three.answered) == (True, False)
    assert [*three.path] == MASTER[:5]
    assert one.begins == trace.events[one.hops[0].begins].at
    assert one.ends == one.begins + 15


def test_what_has_no_id_is_no_message() -> None:
    trace = Build().link("a:push", "b:pull").cross("a:push", "b:pull", b"bare").end()
    assert len(trace.messages) == 0
    assert [*trace.messages] == []
    assert repr(trace.messages) == "Messages: 0, of which 0 answered"


def test_a_request_has_its_answer_and_who_it_was_asked_for() -> None:
    build = Build().master(workers=1).run(1, until="worker1:pull")
    build.cross("worker1:db", "server.Cache:listen_to", message(7, parent=1))
    build.cross("server.Cache:listen_to", "worker1:db", b"value")
    trace = build.run(1, since="worker1:push").end()
    (request,) = trace.messages.requests
    assert request == trace.messages["r1"]
    assert request.kind == "request"
    assert [hop.kind for hop in request.hops] == ["request", "answer"]
    assert [*request.path] == ["worker1", "server.Cache", "worker1"]
    assert request.answered
    assert request.parent == trace.messages[1]
    assert trace.messages[1].requests == (request,)
    assert trace.messages[1].children == ()
    assert [one.number for one in trace.messages] == ["1"]


def test_what_was_made_of_a_message_is_its_child_and_may_be_its_answer() -> None:
    build = Build().link("a:push", "b:pull").link("b:push", "a:pull")
    build.cross("a:push", "b:pull", message(1))
    for child in (2, 3):
        build.cross("b:push", "a:pull", message(child, parent=1))
    build.cross("a:push", "b:pull", message(4))
    trace = build.end()
    one = trace.messages[1]
    assert [child.number for child in one.children] == ["1.1", "1.2"]
    assert trace.messages["1.2"].parent == one
    assert one.answered, "by its first child"
    assert one.path == ("a", "b", "a")
    assert one.ends == one.begins + 3
    assert all(child.answered for child in one.children), "they came to who had asked"
    assert not trace.messages[2].answered


def test_ids_that_lead_in_a_circle_end_somewhere() -> None:
    build = Build().link("a:push", "b:pull")
    build.cross("a:push", "b:pull", message(1, parent=2))
    build.cross("a:push", "b:pull", message(2, parent=1))
    trace = build.end()
    assert not any(one.answered for one in trace.messages)
    assert len(trace.filter(message="1").messages) == 2
    assert [one.latency.total for one in trace.messages] == [1, 1]


# ---------------------------------------------------------------------------------- where time went


def timed() -> Trace:
    """A worker takes three messages, is asked to wait in the second, and does them in turn."""
    build = Build(clock="ns").link("client:push", "worker:pull").link("worker:push", "client:pull")
    build.link("worker:db", "cache:rep", "REQ REP", kind="request")
    for id in (1, 2, 3):
        build.send("client:push", message(id), at=100 * id)  # at 100, 200 and 300
    build.receive("worker:pull", message(1), at=150)
    build.receive("worker:pull", message(2), at=250)
    build.receive("worker:pull", message(3), at=1_000)
    build.send("worker:push", message(1), at=1_300)
    build.send("worker:db", message(9, parent=2), at=1_400)
    build.receive("cache:rep", message(9, parent=2), at=1_450)
    build.send("cache:rep", b"value", at=1_550)
    build.receive("worker:db", b"value", at=1_600)
    build.send("worker:push", message(2), at=1_700)
    build.drop("worker:push", message(3), cause="a rule", at=1_950)
    build.receive("client:pull", message(1), at=1_360)
    build.receive("client:pull", message(2), at=1_800)
    return build.trace


def test_each_moment_is_queueing_holding_working_or_crossing() -> None:
    trace = timed()
    one, two, three = trace.messages
    # Held until the worker had received the others; then it was done.
    assert [(leg.what, leg.lasting) for leg in one.legs] == [
        ("crossing", 50),
        ("holding", 850),
        ("working", 300),
        ("crossing", 60),
    ]
    assert one.latency == Latency(queueing=0, holding=850, working=300, crossing=110)
    # Held likewise; the first came first; then the cache was asked, and told.
    assert [(leg.what, leg.actor, leg.lasting) for leg in two.legs] == [
        ("crossing", "worker", 50),
        ("holding", "worker", 750),
        ("queueing", "worker", 300),
        ("working", "worker", 100),
        ("holding", "worker", 200),
        ("working", "worker", 100),
        ("crossing", "client", 100),
    ]
    # On the link until the worker had received the one before; and given up in the end.
    assert [(leg.what, leg.source, leg.lasting) for leg in three.legs] == [
        ("crossing", "client", 700),
        ("queueing", "", 400),
        ("holding", "", 200),
        ("queueing", "", 100),
        ("working", "", 250),
    ]
    assert three.latency.total == 1_650
    assert not three.answered


def test_on_a_link_it_queues_while_its_receiver_is_busy() -> None:
    build = Build(clock="ns").link("a:push", "b:pull").link("b:push", "c:pull")
    build.send("a:push", message(1), at=0).receive("b:pull", message(1), at=10)
    build.send("a:push", message(2), at=20)
    build.send("b:push", message(1), at=70).receive("b:pull", message(2), at=75)
    trace = build.trace
    assert trace.messages[2].latency == Latency(queueing=50, crossing=5)
    assert [(leg.what, leg.source, leg.actor) for leg in trace.messages[2].legs] == [
        ("queueing", "a", "b"),
        ("crossing", "a", "b"),
    ]


def test_of_a_batch_the_first_is_worked_on_and_the_others_queue() -> None:
    build = Build(clock="ns").link("a:push", "b:pull").link("b:push", "c:pull")
    for tell, port, at in ((build.send, "a:push", 10), (build.receive, "b:pull", 20)):
        for id in (1, 2, 3):
            tell(port, message(id), at=at)
    for id in (1, 2, 3):
        build.send("b:push", message(id), at=110)
    latencies = [one.latency for one in build.trace.messages]
    assert latencies[0] == Latency(working=90, crossing=10)
    assert latencies[1:] == [Latency(queueing=90, crossing=10)] * 2


def test_time_with_somebody_who_was_not_recorded_is_crossing() -> None:
    build = Build(clock="ns").actor("a", "client")
    build.port("a:push", "PUSH", "tcp://far:1", sends="message")
    build.port("a:pull", "PULL", "tcp://far:2", receives="message")
    build.send("a:push", message(1), at=10).receive("a:pull", message(1), at=90)
    one = build.trace.messages[1]
    (leg,) = one.legs
    assert (leg.what, leg.lasting, leg.unseen) == ("crossing", 80, True)
    assert one.answered
    assert "not recorded" in repr(one)


def test_the_legs_add_up_to_exactly_the_time_on_the_way(scenario: Trace) -> None:
    for one in (*scenario.messages, *scenario.messages.requests):
        sums: Counter[str] = Counter()
        for leg in one.legs:
            sums[leg.what] += leg.lasting
            assert leg.lasting > 0
        assert one.latency == Latency(**sums)
        assert one.latency.total == one.ends - one.begins
        assert [leg.begins for leg in one.legs[1:]] == [leg.ends for leg in one.legs[:-1]]


def test_in_every_scenario_each_message_has_a_way(scenario: Trace) -> None:
    by_actor = {actor.id: actor.role for actor in scenario.actors}
    links = {hop.link for hop in scenario.hops}
    assert len(scenario.messages) > 0
    for one in (*scenario.messages, *scenario.messages.requests):
        assert one.answered, one
        assert not any(leg.unseen for leg in one.legs)
        assert {*zip(one.path, one.path[1:], strict=False)} <= links
        assert by_actor[one.path[-1]] in ("client", "worker")
        assert all(scenario.causes.cause[n] < n for n in one.way)


def test_children_by_scatter_and_by_mux() -> None:
    for name in ("scatter", "mux"):
        trace = lab.scenarios[name].run(seed=1)
        families = {
            one.number: [child.number for child in one.children]
            for one in trace.messages
            if one.parent is None
        }
        assert families == {str(n): [f"{n}.1", f"{n}.2"] for n in range(1, 5)}


def test_a_free_run_adds_up_too() -> None:
    trace = lab.scenarios["scatter"].run()
    for one in trace.messages:
        assert one.answered
        assert one.latency.total == one.ends - one.begins == sum(leg.lasting for leg in one.legs)


# ------------------------------------------------------------------------------------------- tables


def test_messages_show_themselves_as_a_table() -> None:
    lines = repr(there_and_back().messages).splitlines()
    assert lines[0] == (
        "Messages: 3, of which 2 answered; half within 15 steps, the slowest, 1, within 15 steps"
    )
    assert lines[2].split() == [
        *("message", "from", "function", "step", "total"),
        *("queueing", "holding", "working", "crossing", "ends"),
    ]
    assert lines[3].split()[:5] == ["1", "client", "server.foo", "32", "15"]
    assert lines[3].endswith("answered to client")
    assert lines[5].endswith("last seen at worker1")
    assert '<th scope="row"' in there_and_back().messages._repr_html_()


def test_the_table_does_not_place_a_message_where_it_never_arrived() -> None:
    with (
        pytest.raises(Deadlock),
        lab.Cluster(1, faults=[lab.faults.drop("WorkerPush→worker2")]) as cluster,
    ):
        lab.scenarios["parallel"].play(cluster, messages=2)
    assert repr(cluster.trace.messages).splitlines()[4].endswith("lost before worker2")


def test_a_message_shows_its_legs() -> None:
    shown = repr(timed().messages[2]).splitlines()
    assert shown[0] == "Message 2: client, 2 hops, answered, 1.6 µs"
    assert [line.split()[1] for line in shown[3:]] == [
        *("crossing", "holding", "queueing", "working", "holding", "working", "crossing"),
    ]
    assert "client → worker" in shown[3]


def test_a_table_of_many_stays_short() -> None:
    build = Build().link("a:push", "b:pull")
    for id in range(1, 60):
        build.cross("a:push", "b:pull", message(id, function="界<b>\n" * 50))
    shown = repr(build.trace.messages).splitlines()
    assert len(shown) == 1 + 1 + 1 + 20 + 1
    assert shown[-1] == "… 39 more"
    assert max(map(len, shown)) <= 160
    assert "<b>" not in build.trace.messages._repr_html_()


def test_a_message_is_what_it_is(scenario: Trace) -> None:
    assert all(isinstance(one, Message) for one in scenario.messages)
    for one in scenario.messages:
        assert repr(one)
        assert one._repr_html_().startswith("<")
