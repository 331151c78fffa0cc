"""Links and activity: what crossed where, what waited there, and what each actor did."""

from __future__ import annotations

import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab.errors import LabError
from pylm_lab.trace import Count, Trace, counts

SEEDED = [name for name in lab.scenarios if not lab.scenarios[name].free_only]


@pytest.fixture(scope="module", params=SEEDED)
def scenario(request: pytest.FixtureRequest) -> Trace:
    """A run of each scenario that can be seeded."""
    return lab.scenarios[request.param].run(seed=1)


def queued() -> Trace:
    """Five are sent: three arrive, one is lost, one is on its way."""
    build = Build(clock="ns").link("a:push", "b:pull")
    for id, at in ((1, 10), (2, 20), (3, 30), (4, 40), (5, 50)):
        build.send("a:push", message(id), at=at)
    build.receive("b:pull", message(1), at=110).receive("b:pull", message(2), at=120)
    build.drop("b:pull", message(3), cause="a rule", at=130)
    build.receive("b:pull", message(4), at=140)
    return build.trace


# -------------------------------------------------------------------------------------------- links


def test_a_link_counts_what_crossed_it() -> None:
    link = queued().links["a", "b"]
    assert link.count == Count(sent=5, received=3, in_flight=1, dropped=1)
    assert (link.sent, link.received, link.in_flight, link.dropped) == link.count
    assert link.sent == link.received + link.in_flight + link.dropped
    assert link.hops == [0, 1, 2, 3, 4]
    assert link.wait == 100


def test_its_queue_grows_with_each_send_and_shrinks_with_each_arrival_and_loss() -> None:
    trace = queued()
    queue = trace.links["a", "b"].queue
    first = trace.events[trace.hops[0].begins].at
    assert [(at - first, length) for at, length in queue] == [
        *((0, 1), (10, 2), (20, 3), (30, 4), (40, 5)),
        *((100, 4), (110, 3), (120, 2), (130, 1)),
    ]
    assert queue.longest == trace.links["a", "b"].longest == 5
    assert [queue.at(first + time) for time in (-1, 0, 39, 40, 105, 900)] == [0, 1, 4, 5, 4, 1]
    assert queue[0] == (first, 1)
    assert queue[-1] == queue[8]
    assert [*queue[2:4]] == [queue[2], queue[3]]
    assert queue == [*queue]


def test_the_counts_are_those_of_check(scenario: Trace) -> None:
    expected = counts(scenario, "message", "request", "answer")
    assert {link: one.count for link, one in scenario.links.items()} == expected
    assert [*scenario.links] == [*expected], "in the order of first use"


def test_a_queue_ends_with_what_is_in_flight(scenario: Trace) -> None:
    for link in scenario.links.values():
        lengths = [length for _, length in link.queue]
        assert min(lengths) >= 0
        assert lengths[-1] == link.in_flight
        assert link.longest == max(lengths)
        assert [at for at, _ in link.queue] == sorted(at for at, _ in link.queue)
        assert link.wait is not None
        assert link.wait > 0


def test_a_publication_counts_once_for_each_subscriber() -> None:
    trace = lab.scenarios["tee"].run(seed=1)
    assert trace.links["server.Pub", "pipeline.Sub"].sent == 4
    assert trace.links["server.Pub", "pipeline2.Sub"].sent == 4
    build = (
        Build().master(clients=0).run(1, since="server.Pub:listen_to", until="server.Pub:listen_to")
    )
    assert len(build.end().links) == 0, "nobody had subscribed"


def test_an_end_that_is_not_known_is_an_empty_name() -> None:
    build = Build().actor("a", "worker").port("a:push", "PUSH", sends="message")
    build.send("a:push", message(1)).drop("a:push", message(2), cause="before")
    assert {k: v.count for k, v in build.trace.links.items()} == {("a", ""): Count(2, 0, 1, 1)}
    assert build.trace.links["a", ""].wait is None
    assert build.trace.links["a", ""].longest == 1, "what was never sent was never in it"
    assert "a → ?" in repr(build.trace.links["a", ""])


def test_a_link_that_nothing_crossed_is_a_key_error_with_a_hint() -> None:
    links = queued().links
    with pytest.raises(KeyError, match="no traffic on the link 'a → c': did you mean 'a → b'"):
        links["a", "c"]
    with pytest.raises(LabError, match="no traffic on the link"):
        links["a"]  # type: ignore[index]
    assert ("b", "a") not in links
    assert links.get(("b", "a")) is None


def test_a_link_is_found_by_what_the_table_calls_its_ends() -> None:
    trace = lab.scenarios["parallel"].run(seed=1)
    assert "client     → Pull " in repr(trace.links)
    assert trace.links["client", "Pull"] is trace.links["client", "server.Pull"]
    assert ("client", "server.Pull") in list(trace.links)
    assert ("client", "Pull") not in list(trace.links)


def test_links_show_themselves_as_a_table() -> None:
    assert repr(queued().links).splitlines() == [
        "Links: 1 link that something crossed; 5 sent, 3 received, 1 in flight, 1 dropped",
        "",
        "from   to  sent  received  in flight  dropped  longest queue  mean wait",
        "a    → b      5         3          1        1              5     0.1 µs",
    ]
    assert repr(queued().links["a", "b"]) == (
        "<a → b: 5 sent, 3 received, 1 in flight, 1 dropped; at most 5 at once, mean wait 0.1 µs>"
    )
    assert repr(queued().links["a", "b"].queue).splitlines()[0] == (
        "Queue: 9 changes, 5 at the most, first at 0.0"
    )
    assert queued().links._repr_html_().startswith("<table>")
    assert repr(Trace().links) == "Links: 0 links that something crossed"


def test_a_table_of_many_links_stays_short() -> None:
    build = Build()
    for n in range(30):
        build.link(f"{'a' * 60}{n}:push", f"b{n}:pull")
        build.cross(f"{'a' * 60}{n}:push", f"b{n}:pull", message(n + 1))
    lines = repr(build.trace.links).splitlines()
    assert len(lines) == 1 + 1 + 1 + 20 + 1
    assert lines[-1] == "… 10 more"
    assert max(map(len, lines)) <= 140


# ----------------------------------------------------------------------------------------- activity


def test_the_time_of_an_actor_is_working_or_waiting() -> None:
    build = Build(clock="ns").link("a:push", "b:pull").link("b:push", "c:pull")
    build.hook.actor_started("b", 10)
    build.send("a:push", message(1), at=20).receive("b:pull", message(1), at=110)
    build.send("b:push", message(1), at=140).drop("b:push", message(2), cause="a rule", at=150)
    build.hook.actor_stopped("b", 350)
    activity = build.trace.activity
    b = activity["b"]
    assert (b.received, b.sent, b.dropped) == (1, 1, 1)
    assert (b.waiting, b.working) == (100 + 200, 30 + 10)
    assert b.lasting == 340
    assert b.busy == 40 / 340
    assert (activity["c"].lasting, activity["c"].busy) == (0, 0.0)
    assert [*activity] == ["a", "b", "c"]


def test_in_every_scenario_activity_adds_up(scenario: Trace) -> None:
    for actor, one in scenario.activity.items():
        own = [event for event in scenario.events if event.actor == actor]
        runs = [event.at for event in own if event.what in ("start", "send", "receive", "drop")]
        assert one.lasting == own[-1].at - runs[0]
        for what, count in (("receive", one.received), ("send", one.sent), ("drop", one.dropped)):
            kinds = [event.kind for event in own if event.what == what]
            assert count == sum(kind in ("message", "request", "answer") for kind in kinds)
        assert min(one.working, one.waiting) >= 0


def test_an_actor_is_found_by_its_label_too() -> None:
    activity = lab.scenarios["parallel"].run(seed=1).activity
    assert activity["Pull"] == activity["server.Pull"]
    assert activity["Pull"].received == 10
    with pytest.raises(KeyError, match="no actor 'Pul': did you mean 'Pull'"):
        activity["Pul"]


def test_activity_shows_itself_as_a_table() -> None:
    trace = lab.scenarios["parallel"].run(seed=1)
    lines = repr(trace.activity).splitlines()
    assert lines[0].startswith("Activity of 9 actors; the busiest was ")
    assert lines[2].split() == [
        *("actor", "role", "received", "sent", "dropped", "working", "waiting", "busy")
    ]
    assert len(lines) == 3 + 9
    assert max(map(len, lines)) <= 140
    assert trace.activity._repr_html_().startswith("<table>")
    assert repr(Trace().activity) == "Activity of 0 actors"
