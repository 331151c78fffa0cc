"""The traces of several processes become one: names, clocks, order, and what is missing."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab.trace import Event, Trace
from pylm_lab.trace.hops.match import Matching
from pylm_lab.trace.join.beyond import beyond
from pylm_lab.trace.join.join import join
from pylm_lab.trace.join.missing import missing


@pytest.fixture
def whole() -> Trace:
    """A master, two workers and a client, as one record."""
    build = Build(clock="ns").master()
    for number in range(1, 5):
        build.run(number, worker=f"worker{1 + number % 2}")
    return over_tcp(build.end())


def over_tcp(trace: Trace) -> Trace:
    """The same, where all that is outside of a server is at an address of the network."""
    outer = {port.id for port in trace.ports if port.outer}
    places = {"Pull": 1, "Pub": 2, "WorkerPull": 3, "WorkerPush": 4, "Cache": 5}

    def moved(event: Event) -> Event:
        place = places.get(event.text.removeprefix("inproc://"))
        if event.port not in outer or place is None:
            return event
        return replace(event, text=f"tcp://127.0.0.1:{place}")

    return replace(trace, events=list(map(moved, trace.events)))


def part(trace: Trace, *units: str, late: int = 0, **more: Any) -> Trace:
    """What a process records in which only these servers, workers and clients run.

    It counts from its own first event, on a clock that is `late`.
    """
    actors = [actor for actor in trace.actors if (actor.server or actor.id) in units]
    ids = {actor.id for actor in actors}
    events = [event for event in trace.events if event.actor in ids]
    begin = events[0].at - late
    return Trace(
        actors=tuple(actors),
        ports=tuple(port for port in trace.ports if port.actor in ids),
        routes=tuple(route for route in trace.routes if route.source in ids),
        events=[replace(event, at=event.at - begin) for event in events],
        **more,
    )


def parts(trace: Trace, **late: int) -> list[Trace]:
    """Each server, worker and client as a process of its own."""
    units = dict.fromkeys(actor.server or actor.id for actor in trace.actors)
    return [part(trace, unit, late=late.get(unit, 0)) for unit in units]


def crossings(trace: Trace) -> Counter[tuple[str, ...]]:
    """What crossed which link, and how it ended."""
    return Counter(
        (h.kind, h.message, h.source, h.target, str(h.received is None), str(h.sent is None))
        for h in trace.hops
    )


def own_orders(trace: Trace) -> dict[str, list[tuple[str, str, str]]]:
    """Each actor's events, in order."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for event in trace.events:
        found.setdefault(event.actor, []).append((event.what, event.port, event.message))
    return found


def test_processes_joined_are_the_run_of_one_process(whole: Trace) -> None:
    given = parts(whole, server=70, worker1=5000, client=900)
    for order in itertools.islice(itertools.permutations(given), 0, None, 5):
        one = Trace.join(order)
        assert crossings(one) == crossings(whole)
        assert own_orders(one) == own_orders(whole)
        assert all(hop.sent < hop.received for hop in one.hops if hop.sent and hop.received)
        assert one.check() == whole.check() == []
        assert missing(one) == []


def test_clocks_that_differ_are_set_by_what_went_both_ways(whole: Trace) -> None:
    one = Trace.join(parts(whole, server=70, worker1=5000, client=900))
    # What begins and ends a record may come anywhere; a hop takes as long as it did.
    took = [whole.events[h.received].at - whole.events[h.sent].at for h in whole.hops]  # type: ignore[index]
    now = [one.events[h.received].at - one.events[h.sent].at for h in one.hops]  # type: ignore[index]
    assert sorted(took) == sorted(now)


def test_where_messages_went_one_way_the_fastest_took_no_time() -> None:
    build = Build(clock="ns").link("a:push", "b:pull", address="tcp://127.0.0.1:5555")
    for number, at in ((1, 10), (2, 30)):
        build.send("a:push", message(number), at=at)
    for number, at in ((1, 115), (2, 131)):
        build.receive("b:pull", message(number), at=at)
    trace = build.trace
    one = Trace.join([part(trace, "a"), part(trace, "b", late=7)])
    ends = [(one.events[h.sent].at, one.events[h.received].at) for h in one.hops]  # type: ignore[index]
    assert [received - sent for sent, received in ends] == [4, 0]


def test_those_that_never_met_begin_together_and_are_told_apart() -> None:
    one, other = Build(clock="ns").master().end(), Build(clock="ns").link("a:b", "c:d").end()
    found = join([one, replace(other, events=[replace(e, at=e.at + 77) for e in other.events])])
    assert found.groups == [[0], [1]]
    firsts = [
        next(e.at for e in found.trace.events if e.actor == who) for who in ("a", "server.Pull")
    ]
    assert max(firsts) < 40, "not as far apart as their clocks are"


# Names


def test_the_second_of_a_name_is_renamed_with_its_ports(whole: Trace) -> None:
    again = Build(clock="ns").master(clients=2)
    again.run(9, client="client", worker="worker1")
    second = part(over_tcp(again.end()), "client")
    one = Trace.join([*parts(whole), second])
    assert [actor.id for actor in one.actors][-1] == "client#2"
    assert one.actor("client#2").label == "client"
    mine = [hop for hop in one.hops if hop.source == "client#2" and hop.kind == "message"]
    assert [hop.message for hop in mine] == [f"{9:016x}"]
    assert {port.id for port in one.ports if port.actor == "client#2"} == {
        "client#2:db",
        "client#2:push",
        "client#2:sub",
    }


def test_a_second_server_is_renamed_with_all_its_parts_and_who_belongs_to_it() -> None:
    def run(number: int, *, at: str) -> list[Trace]:
        build = Build(clock="ns").master(workers=1, joined=False)
        places = {"db": "Cache", "pull": "WorkerPush", "sub": "Pub"}
        for id, port in build.ports.items():
            actor, _, name = id.partition(":")
            push = "Pull" if actor == "client" else "WorkerPull"
            place = {**places, "push": push, "listen_to": actor.removeprefix("server.")}.get(name)
            side = "inbound" if "message" in (port.sends, port.receives) else "outbound"
            if port.outer:
                build.join(id, f"tcp://{at}:{sum(map(ord, str(place)))}")
            else:
                build.join(id, f"inproc://server.{side}")
        return parts(build.run(number).end())

    one = Trace.join([*run(1, at="10.0.0.1"), *run(2, at="10.0.0.2")])
    assert {actor.server for actor in one.actors} == {"server", "server#2", ""}
    assert one.actor("worker1#2").serves == "server#2"
    assert one.actor("worker1").serves == "server"
    assert {route.server: route.source for route in one.routes} == {
        "server": "server.WorkerPull",
        "server#2": "server#2.WorkerPull",
    }
    between = {tuple("#2" in end for end in hop.link) for hop in one.hops}
    assert between == {(False, False), (True, True)}, "nothing goes from one to the other"
    # What is inside a process is its own, by whatever name.
    peers = {peer.actor for peer in one.declared.peers("server.Pull:broker")}
    assert peers == {"server.router"}


def test_a_record_that_is_there_twice_counts_once(whole: Trace) -> None:
    given = parts(whole)
    assert Trace.join([whole, whole]) == whole
    assert join([whole, whole]).groups == [[0, 1]]
    assert Trace.join([*given, *given]) == Trace.join(given)


def test_two_records_of_one_process_are_one(whole: Trace) -> None:
    """As of a hook that somebody attaches to a server in a process that records itself."""
    master, client = part(whole, "server"), part(whole, "client")
    half = part(whole, "server", late=40)
    half = replace(half, events=half.events[: len(half.events) // 2])
    found = join([half, client, master, *(part(whole, f"worker{n}") for n in (1, 2))])
    assert crossings(found.trace) == crossings(whole)
    assert found.groups == [[0, 1, 2, 3, 4]]


def test_controlled_runs_are_two_though_their_ids_are_the_same() -> None:
    first = lab.scenarios["parallel"].run(seed=1)
    second = lab.scenarios["parallel"].run(seed=2)
    assert {e.message for e in first.events} & {e.message for e in second.events} == {""}
    again = lab.scenarios["parallel"].run(seed=1, messages=3)
    assert len({e.message for e in first.events} & {e.message for e in again.events}) > 1
    one = Trace.join([first, again])
    assert one.check() == []
    assert len(one.hops) == len(first.hops) + len(again.hops)
    count = sum(hop.source.startswith("client") for hop in one.hops_of("message"))
    assert len({hop.message for hop in one.hops_of("message")}) == count == 13
    assert (one.clock, one.scenario, one.options) == ("step", "parallel", {})


def test_ids_that_no_recorder_has_given_are_told_apart_too() -> None:
    trace = lab.scenarios["parallel"].run(seed=1)
    events = [replace(e, message=e.message and f"my {e.message}") for e in trace.events]
    first = replace(trace, events=events)
    one = Trace.join([first, replace(first, seed=2)])
    assert len(one.messages) == 2 * len(first.messages)
    assert one.check() == []


def test_a_controlled_run_beside_a_free_one_counts_a_step_as_a_nanosecond() -> None:
    controlled = lab.scenarios["parallel"].run(seed=1)
    one = Trace.join([lab.scenarios["parallel"].run(), controlled])
    assert (one.clock, one.seed, one.decisions, one.check()) == ("ns", None, (), [])
    times = [[e.at for e in one.events if e.actor == "client#2"]]
    times += [[e.at for e in controlled.events if e.actor == "client"]]
    assert len({own[-1] - own[0] for own in times}) == 1


# Addresses


@pytest.mark.parametrize(
    ("bound", "connected"),
    [
        ("tcp://0.0.0.0:5555", "tcp://server.example:5555"),
        ("tcp://127.0.0.1:5555", "tcp://localhost:5555"),
        ("tcp://10.1.2.3:5555", "tcp://server.example:5555"),
        ("ipc://place", "ipc://place"),
    ],
)
def test_one_link_may_be_called_differently_on_two_hosts(bound: str, connected: str) -> None:
    build = Build(clock="ns").link("a:push", "b:pull", address=bound)
    build.cross("a:push", "b:pull", message(1))
    trace = build.trace
    sender = part(trace, "a")
    sender = replace(
        sender,
        events=[replace(e, text=connected) if e.what == "connect" else e for e in sender.events],
    )
    one = Trace.join([sender, part(trace, "b")])
    assert [hop.link for hop in one.hops] == [("a", "b")]
    assert missing(one) == []


# Those who were not recorded


def test_across_one_who_was_not_recorded_the_order_holds_and_nothing_is_made_up() -> None:
    build = Build(clock="ns").link("a:push", "x:pull", address="tcp://127.0.0.1:1")
    build.link("x:push", "b:pull", address="tcp://127.0.0.1:2")
    for number in (1, 2):
        # From its beginning on, b has received both long before a has sent them since its own.
        build.send("a:push", message(number, clock=number), at=5000 + number)
        build.receive("b:pull", message(number, clock=number), at=10 + number)
    trace = build.trace
    one = Trace.join([part(trace, "b"), part(trace, "a")])
    order = [(e.what, e.message[-1]) for e in one.events if e.kind]
    assert order.index(("send", "1")) < order.index(("receive", "1"))
    assert order.index(("send", "2")) < order.index(("receive", "2"))
    assert Counter(hop.link for hop in one.hops) == {("a", ""): 2, ("", "b"): 2}
    assert one.check() == []
    assert missing(one) == [
        "b received 2 messages at tcp://127.0.0.1:2 from somebody who was not recorded.",
        "a was connected to tcp://127.0.0.1:1, where nobody is bound who was recorded: it sent 2 "
        "messages there.",
    ]


def test_a_message_that_crosses_two_strangers_comes_from_the_right_send() -> None:
    """The client's proxy and the worker are both unknown; all keep the id and the clock."""
    build = Build(clock="ns").master(workers=1)
    build.run(1)
    trace = over_tcp(build.end())
    client, master = part(trace, "client", late=500), part(trace, "server")
    client = replace(
        client,
        events=[
            replace(e, text="tcp://127.0.0.1:99") if e.what == "connect" else e
            for e in client.events
        ],
    )
    for given in ([client, master], [master, client]):
        one = Trace.join(given)
        way = [f"{e.what} {e.actor}" for e in one.events if e.kind == "message"]
        assert way[0] == "send client"
        assert way[1] == "receive server.Pull"
        assert way[-1] == "receive client"
        assert way.index("send server.WorkerPush") < way.index("receive server.WorkerPull")
        assert one.check() == []


def test_a_message_comes_from_no_send_that_bears_a_later_clock() -> None:
    """What a has published reaches b and c by a stranger, and c hands it on to another one."""
    build = Build(clock="ns")
    for n, link in enumerate(("a:push x:pull", "x:push b:pull", "y:push c:in", "c:push z:pull")):
        build.link(*link.split(), address=f"tcp://127.0.0.1:{n + 1}")
    build.send("a:push", message(1, clock=1))
    build.receive("c:in", message(1, clock=1))
    build.send("c:push", message(1, clock=2))
    build.receive("b:pull", message(1, clock=1))
    trace = build.trace
    found = Matching(trace.ports, trace.actors, trace.columns)
    came_from = beyond(found, found.events.actor.astype("int64")).tolist()
    sent, received, on, other = (n for n, event in enumerate(trace.events) if event.kind)
    assert (came_from[received], came_from[other]) == (sent, sent)
    assert came_from[on] == -1


def test_a_peer_that_drops_the_ids_leaves_two_halves(whole: Trace) -> None:
    halves = [part(whole, "client"), part(whole, "server")]
    foreign = {"server.WorkerPull", "server.Pub"}
    changed = [
        replace(e, message=e.message and f"{int(e.message, 16) + 99:016x}")
        if e.actor in foreign
        or (e.actor == "server.router" and e.peer in ("WorkerPull", "Pub"))
        or (e.actor == "client" and e.what == "receive" and e.kind == "message")
        else e
        for half in halves
        for e in half.events
    ]
    split = len(halves[0].events)
    one = Trace.join(
        [replace(halves[0], events=changed[:split]), replace(halves[1], events=changed[split:])]
    )
    assert one.check() == []
    assert [sentence for sentence in missing(one) if "4 messages" in sentence] == [
        "server.WorkerPull received 4 messages at tcp://127.0.0.1:3 from somebody who was not "
        "recorded.",
        "server.WorkerPush sent 4 messages at tcp://127.0.0.1:4 to somebody who was not recorded.",
    ]


def test_who_died_is_named_with_what_may_have_come_to_it(whole: Trace) -> None:
    given = [part(whole, "server"), part(whole, "client"), part(whole, "worker1")]
    worker = part(whole, "worker2", cut=("worker2",))
    first = next(n for n, e in enumerate(worker.events) if e.kind == "message")
    one = Trace.join([*given, replace(worker, events=worker.events[: first + 2])])
    assert one.cut == ("worker2",)
    told = missing(one)
    assert told[0] == "The record of worker2 ends early."
    assert (
        "Of what server.WorkerPush sent, 1 message may have come to worker2 after the record's "
        "end." in told
    )


def test_what_came_from_a_stranger_may_have_come_from_one_who_died(whole: Trace) -> None:
    given = [part(whole, "server"), part(whole, "client"), part(whole, "worker1")]
    worker = part(whole, "worker2", cut=("worker2",))
    first = next(n for n, e in enumerate(worker.events) if e.kind == "message")
    one = Trace.join([*given, replace(worker, events=worker.events[:first])])
    (told,) = (line for line in missing(one) if line.startswith("server.WorkerPull received"))
    assert told.endswith(
        " from somebody who was not recorded, or from worker2 after the record's end."
    )


def test_what_was_forgotten_adds_up_and_what_all_say_alike_stays(whole: Trace) -> None:
    given = [replace(one, forgotten=2, seed=None, scenario="parallel") for one in parts(whole)[:2]]
    one = Trace.join(given)
    assert (one.forgotten, one.scenario, one.clock) == (4, "parallel", "ns")
    assert Trace.join([]) == Trace()


def test_what_is_no_trace_is_an_error(whole: Trace) -> None:
    with pytest.raises(TypeError, match=r"traces can be joined, not 'a\.jsonl': Trace\.load reads"):
        Trace.join(["a.jsonl"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="traces can be joined, not Hop"):
        Trace.join(whole)  # type: ignore[arg-type]
