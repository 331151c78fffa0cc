"""Which receive belongs to which send, and what becomes of those that match nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from builder import Build, message, steps_of

from pylm_lab.hook import Actor, Port
from pylm_lab.trace import Event, Hop, Trace
from pylm_lab.trace.builder import columns_of
from pylm_lab.trace.hops.match import Matching

#: One kind of hop, told short: who, to whom, and how it ended.
Told = tuple[str, str, str]
PLACE = "inproc://here"


def told(trace: Trace, *kinds: str) -> list[Told]:
    """Source, target and end of each hop of these kinds (of messages, if none is given)."""
    return [
        (hop.source, hop.target, how(trace, hop))
        for hop in trace.hops
        if hop.kind in (kinds or ("message",))
    ]


def how(trace: Trace, hop: Hop) -> str:
    words = {"sent": hop.sent, "received": hop.received, "dropped": hop.dropped}
    return " ".join(word for word, n in words.items() if n is not None)


def publisher(socket: str = "XPUB", subscribers: str = "ab") -> Build:
    """`p` publishes; each subscriber has a port `:sub` at its address."""
    build = Build().actor("p", "outbound")
    build.port("p:out", socket, "inproc://p", binds=True, sends="message")
    for name in subscribers:
        build.actor(name, "client").port(f"{name}:sub", "SUB", "inproc://p", receives="message")
    return build


# --------------------------------------------------------------------------- what belongs together


def at_one_address(count: int) -> Trace:
    """One that binds, and all others connect."""
    actors = [Actor(id=f"a{n}", label="a", role="client", kind="Client") for n in range(count)]
    ports = [
        Port(
            id=f"{actor.id}:p",
            actor=actor.id,
            socket="PUSH" if n else "PULL",
            binds=not n,
            outer=True,
            sends="message" if n else "",
            receives="" if n else "message",
        )
        for n, actor in enumerate(actors)
    ]
    events = [
        Event(at=n, what="connect" if n else "bind", actor=port.actor, port=port.id, text=PLACE)
        for n, port in enumerate(ports)
    ]
    return Trace(actors=tuple(actors), ports=tuple(ports), events=events)


def test_twice_as_many_at_one_address_take_twice_the_work() -> None:
    few, many = (at_one_address(count) for count in (100, 200))
    assert len([*many.declared.wires()]) == 199
    work = [steps_of(lambda trace: [*trace.declared.wires()], replace(t)) for t in (few, many)]
    assert work[1] < 2.5 * work[0]


def who_have_left(count: int) -> Trace:
    """So many subscribers, each with a topic of its own, which then leave."""
    build = publisher(subscribers="")
    for n in range(count):
        topic, port = b"topic %d" % n, f"a{n}:sub"
        build.actor(f"a{n}", "client").port(port, "SUB", "inproc://p", receives="message")
        build.subscribe(port, topic, "p:out")
    for n in range(count):
        build.hook.port_disconnected(build.ports[f"a{n}:sub"], "inproc://p", build.tick())
    build.send("p:out", b"topic 1", message(1))
    return build.trace


def test_twice_as_many_subscribers_who_leave_take_twice_the_work() -> None:
    few, many = (who_have_left(count) for count in (100, 200))
    work = [steps_of(lambda trace: trace.hops, replace(t)) for t in (few, many)]
    assert work[1] < 2.5 * work[0]


def test_who_says_nothing_is_not_taken_for_somebody_else() -> None:
    build = Build().link("a:push", "b:pull").link("c:push", "d:pull")
    own = build.trace
    events = [
        *own.events,
        Event(at=90, what="send", actor="a", port="a:push", kind="message"),
        Event(
            at=91,
            what="fault",
            actor="b",
            port="b:pull",
            kind="message",
            message="x",
            fault="delay",
        ),
    ]
    ports = tuple(port for port in own.ports if port.id != "b:pull")
    held = next(port for port in own.ports if port.id == "b:pull")
    found = replace(own, ports=(*ports, replace(held, receives="request")), events=events)
    assert [(hop.source, hop.target) for hop in found.hops] == [("a", "")]


def test_a_message_is_a_hop_on_every_link_of_its_way() -> None:
    trace = Build().master().run(1).end()
    assert told(trace) == [
        ("client", "server.Pull", "sent received"),
        ("server.Pull", "server.router", "sent received"),
        ("server.router", "server.WorkerPush", "sent received"),
        ("server.WorkerPush", "worker1", "sent received"),
        ("worker1", "server.WorkerPull", "sent received"),
        ("server.WorkerPull", "server.router", "sent received"),
        ("server.router", "server.Pub", "sent received"),
        ("server.Pub", "client", "sent received"),
    ]
    for hop in trace.hops:
        assert hop.sent is not None
        assert hop.received is not None
        assert trace.events[hop.sent].what == "send"
        assert trace.events[hop.received].message == trace.events[hop.sent].message == hop.message
        assert hop.begins == hop.sent
        assert not hop.lost


def test_hops_come_in_the_order_in_which_they_begin() -> None:
    build = Build().link("a:push", "b:pull")
    build.send("a:push", message(1)).send("a:push", message(2))
    build.receive("b:pull", message(2)).receive("b:pull", message(1))
    assert [hop.message for hop in build.trace.hops] == [f"{1:016x}", f"{2:016x}"]
    assert [hop.begins for hop in build.trace.hops] == [2, 3]


def test_the_records_of_threads_are_matched_before_they_are_put_in_order() -> None:
    """One thread's after the other's, so WorkerPull may hand the message over before Pull does."""
    build = Build().master().run(1)
    trace = build.trace
    true = {hop.received: hop.sent for hop in trace.hops}
    for actors in (build.actors, build.actors[::-1]):
        order = [n for actor in actors for n, e in enumerate(trace.events) if e.actor == actor]
        events = [replace(trace.events[n], at=0) for n in order]
        for declared in (trace.actors, trace.actors[::-1]):
            found = Matching(trace.ports, declared, columns_of(events)).came_from
            came = {order[n]: order[send] for n, send in enumerate(found.tolist()) if send >= 0}
            assert came == true


def test_each_part_has_credits_of_its_own() -> None:
    build = Build().master()
    for name in ("Pull", "WorkerPull", "Pull"):
        build.send("server.router:inbound", name.encode(), b"", b"1")
    for name in ("WorkerPull", "Pull"):
        build.receive(f"server.{name}:broker", b"", b"1")
    assert told(build.trace, "credit") == [
        ("server.router", "server.Pull", "sent received"),
        ("server.router", "server.WorkerPull", "sent received"),
        ("server.router", "server.Pull", "sent"),
    ]
    build.receive("server.WorkerPull:broker", b"", b"1")
    assert told(build.trace, "credit")[2:] == [
        ("server.router", "server.Pull", "sent"),  # it is not the one that WorkerPull has got
        ("", "server.WorkerPull", "received"),
    ]


def test_an_answer_belongs_to_the_request_of_its_asker() -> None:
    build = Build().master()
    for id, asker in ((11, "client"), (12, "worker1")):
        build.send(f"{asker}:db", message(id))
    for id in (12, 11):
        build.receive("server.Cache:listen_to", message(id))
        build.send("server.Cache:listen_to", b"same")
    for asker in ("client", "worker1"):
        build.receive(f"{asker}:db", b"same")
    assert told(build.trace, "request", "answer") == [
        ("client", "server.Cache", "sent received"),
        ("worker1", "server.Cache", "sent received"),
        ("server.Cache", "worker1", "sent received"),
        ("server.Cache", "client", "sent received"),
    ]


def test_a_message_that_crosses_a_link_again_is_told_apart_by_its_clock() -> None:
    build = Build().link("a:push", "b:pull")
    build.send("a:push", message(1, clock=1)).send("a:push", message(1, clock=2))
    build.receive("b:pull", message(1, clock=2))  # the first of them is lost
    first, second = build.trace.hops
    assert (first.received, second.received) == (None, 4)


def test_the_same_bytes_twice_arrive_in_order() -> None:
    build = Build().link("a:push", "b:pull")
    for _ in range(2):
        build.send("a:push", message(1))
    for _ in range(3):
        build.receive("b:pull", message(1))
    assert [(hop.sent, hop.received) for hop in build.trace.hops] == [(2, 4), (3, 5), (None, 6)]


def test_messages_without_an_id_are_matched_in_order() -> None:
    build = Build().link("a:push", "b:pull")
    for _ in range(2):
        build.cross("a:push", "b:pull", message())
    assert told(build.trace) == [("a", "b", "sent received")] * 2


@pytest.mark.parametrize(
    ("bound", "connected"),
    [
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
        ("tcp://0.0.0.0:5555", "tcp://127.0.0.1:5555"),
        ("tcp://0.0.0.0:5555", "tcp://some.host:5555"),
        ("tcp://[::]:5555", "tcp://localhost:5555"),
        ("tcp://127.0.0.1:5555", "tcp://localhost:5555"),
        ("tcp://[::1]:5555", "tcp://127.0.0.1:9999;localhost:5555"),
    ],
)
def test_a_tcp_address_may_be_spelt_in_several_ways(bound: str, connected: str) -> None:
    build = Build().actor("b", "worker").actor("a", "worker")
    build.port("b:pull", "PULL", bound, binds=True, receives="message")
    build.port("a:push", "PUSH", connected, sends="message")
    assert told(build.cross("a:push", "b:pull", message(1)).trace) == [("a", "b", "sent received")]


@pytest.mark.parametrize("connected", ["tcp://127.0.0.1:5556", "tcp://10.0.0.1:5555", "tcp://x"])
def test_another_tcp_address_is_another_link(connected: str) -> None:
    build = Build().actor("b", "worker").actor("a", "worker")
    build.port("b:pull", "PULL", "tcp://127.0.0.1:5555", binds=True, receives="message")
    build.port("a:push", "PUSH", connected, sends="message")
    assert told(build.cross("a:push", "b:pull", message(1)).trace) == [
        ("a", "", "sent"),
        ("", "b", "received"),
    ]


def test_a_port_with_two_addresses_is_on_both_links() -> None:
    build = Build().link("a:push", "x:pull").link("b:push", "y:pull")
    build.actor("c", "worker").port("c:push", "PUSH", "inproc://x:pull", sends="message")
    build.join("c:push", "inproc://y:pull")
    build.cross("c:push", "x:pull", message(1)).cross("c:push", "y:pull", message(2))
    assert told(build.trace) == [("c", "x", "sent received"), ("c", "y", "sent received")]


def test_without_any_address_the_ids_suffice() -> None:
    build = Build().actor("a", "worker").actor("b", "worker")
    build.port("a:push", "PUSH", sends="message").port("b:pull", "PULL", receives="message")
    assert told(build.cross("a:push", "b:pull", message(1)).trace) == [("a", "b", "sent received")]


# ------------------------------------------------------------------------------------ publications


def test_a_publication_is_a_hop_to_each_subscriber() -> None:
    build = publisher(subscribers="abc")
    for name in "abc":
        build.subscribe(f"{name}:sub", b"t", "p:out")
    build.send("p:out", b"t", message(1))
    for name in "ca":
        build.receive(f"{name}:sub", b"t", message(1))
    assert told(build.trace) == [
        ("p", "a", "sent received"),
        ("p", "b", "sent"),
        ("p", "c", "sent received"),
    ]


def test_each_subscriber_has_a_count_of_its_own() -> None:
    build = publisher()
    for name in "ab":
        build.subscribe(f"{name}:sub", b"t", "p:out")
    for _ in range(2):
        build.send("p:out", b"t", message(1))
    for name in "aabb":
        build.receive(f"{name}:sub", b"t", message(1))
    assert Counter(told(build.trace)) == {
        ("p", "a", "sent received"): 2,
        ("p", "b", "sent received"): 2,
    }


def test_one_message_under_two_topics_is_two_publications() -> None:
    build = publisher()
    build.subscribe("a:sub", b"even", "p:out").subscribe("b:sub", b"odd", "p:out")
    build.send("p:out", b"even", message(1)).send("p:out", b"odd", message(1))
    build.receive("b:sub", b"odd", message(1)).receive("a:sub", b"even", message(1))
    assert told(build.trace) == [("p", "a", "sent received"), ("p", "b", "sent received")]


def test_only_who_has_asked_for_the_topic_can_miss_it() -> None:
    build = publisher(subscribers="abcd")
    build.subscribe("a:sub", b"client1", "p:out").subscribe("b:sub", b"client2", "p:out")
    build.subscribe("c:sub", b"", "p:out")  # everything
    build.subscribe("d:sub", b"client", "p:out")  # everything that begins so
    assert told(build.send("p:out", b"client1", message(1)).trace) == [
        ("p", "a", "sent"),
        ("p", "c", "sent"),
        ("p", "d", "sent"),
    ]


def test_a_publisher_that_has_not_seen_a_subscription_sends_to_nobody() -> None:
    build = publisher(subscribers="a")
    build.recorder.topic_subscribed(build.ports["a:sub"], b"t", build.tick())
    build.send("p:out", b"t", message(1))
    build.recorder.subscription_seen(build.ports["p:out"], b"t", True, build.tick())
    build.send("p:out", b"t", message(2))
    assert told(build.trace) == [("p", "", "sent"), ("p", "a", "sent")]


def test_a_plain_pub_never_tells_so_who_asks_first_can_miss() -> None:
    """What a slow joiner misses is seen."""
    build = publisher("PUB", "a")
    build.send("p:out", b"t", message(1))
    build.subscribe("a:sub", b"t", "p:out").send("p:out", b"t", message(2))
    assert told(build.trace) == [("p", "", "sent"), ("p", "a", "sent")]


@pytest.mark.parametrize("leaves", ["unsubscribed", "unseen", "disconnected"])
def test_who_has_left_misses_nothing(leaves: str) -> None:
    build = publisher(subscribers="ab")
    for name in "ab":
        build.subscribe(f"{name}:sub", b"t" if name == "a" else b"tt", "p:out")
    recorder, sub, pub = build.recorder, build.ports["a:sub"], build.ports["p:out"]
    if leaves == "unsubscribed":
        recorder.topic_unsubscribed(sub, b"t", build.tick())
    elif leaves == "unseen":
        recorder.subscription_seen(pub, b"t", False, build.tick())
    else:
        recorder.port_disconnected(sub, "inproc://p", build.tick())
    assert told(build.send("p:out", b"t", message(1)).trace) == [("p", "", "sent")]
    assert told(build.send("p:out", b"tt", message(2)).trace)[1:] == [("p", "b", "sent")]


def test_only_who_is_at_the_publishers_link_can_miss_it() -> None:
    build = publisher("PUB", "a").actor("q", "outbound").actor("b", "client")
    build.port("q:out", "PUB", "inproc://q", binds=True, sends="message")
    build.port("b:sub", "SUB", "inproc://q", receives="message")
    build.subscribe("a:sub", b"t", "p:out").subscribe("b:sub", b"t", "q:out")
    assert told(build.send("p:out", b"t", message(1)).trace) == [("p", "a", "sent")]


def test_an_echo_belongs_to_its_topic() -> None:
    build = publisher()
    for name in "ab":
        build.subscribe(f"{name}:sub", b"\xffready:" + name.encode(), "p:out")
    for name in "ba":
        build.send("p:out", b"\xffready:" + name.encode(), b"")
    build.receive("a:sub", b"\xffready:a", b"")
    assert told(build.trace, "ready") == [("p", "b", "sent"), ("p", "a", "sent received")]


# -------------------------------------------------------------- what was not received, or given up


def test_who_would_have_received_it_is_known_where_there_is_only_one() -> None:
    build = Build().master(workers=2)
    build.send("client:push", message(1))
    build.send("server.WorkerPush:listen_to", message(2))
    build.send("server.router:outbound", b"Pub", b"", message(3))
    build.send("server.Pull:broker", b"", message(4))
    assert told(build.trace) == [
        ("client", "server.Pull", "sent"),
        ("server.WorkerPush", "", "sent"),  # it is one of two, and nobody knows which
        ("server.router", "server.Pub", "sent"),
        ("server.Pull", "server.router", "sent"),
    ]


def test_what_nobody_has_sent_is_a_hop_from_nowhere() -> None:
    build = Build().link("a:push", "b:pull").receive("b:pull", message(1))
    (hop,) = build.trace.hops
    assert (hop.source, hop.target, hop.sent, hop.received) == ("", "b", None, 2)


def test_a_receive_is_never_matched_to_a_later_send() -> None:
    build = Build().link("a:push", "b:pull")
    build.receive("b:pull", message(1)).send("a:push", message(1))
    assert told(build.trace) == [("", "b", "received"), ("a", "b", "sent")]


def test_given_up_before_it_was_sent() -> None:
    build = Build().master().drop("server.router:outbound", b"Pub", b"", message(1), cause="gone")
    (hop,) = build.trace.hops
    assert (hop.source, hop.target) == ("server.router", "server.Pub")
    assert how(build.trace, hop) == "dropped"
    assert hop.lost
    assert hop.dropped is not None
    assert build.trace.events[hop.dropped].text == "gone"


def test_given_up_where_messages_go_both_ways() -> None:
    """Before anything was received, it can only have been about to be sent."""
    both: dict[str, Any] = {"sends": "message", "receives": "message"}
    build = Build().actor("a", "worker").actor("b", "worker")
    build.port("a:pair", "PAIR", "inproc://x", binds=True, **both)
    build.port("b:pair", "PAIR", "inproc://x", **both)
    build.drop("a:pair", message(1)).cross("b:pair", "a:pair", message(1))
    build.drop("a:pair", message(1))
    assert told(build.trace) == [("a", "b", "dropped"), ("b", "a", "sent received dropped")]


def test_given_up_after_it_was_sent() -> None:
    build = Build().link("a:push", "b:pull")
    build.cross("a:push", "b:pull", message(1)).send("a:push", message(2)).send(
        "a:push", message(3)
    )
    build.drop("a:push", message(2))
    assert told(build.trace) == [
        ("a", "b", "sent received"),
        ("a", "b", "sent dropped"),
        ("a", "b", "sent"),
    ]
    assert [hop.lost for hop in build.trace.hops] == [False, True, False]


def test_given_up_after_it_was_received() -> None:
    build = Build().link("a:push", "b:pull")
    build.cross("a:push", "b:pull", message(1)).drop("b:pull", message(1))
    assert told(build.trace) == [("a", "b", "sent received dropped")]
    assert not build.trace.hops[0].lost, "it has crossed its link"


def test_given_up_instead_of_being_received() -> None:
    build = Build().link("a:push", "b:pull")
    build.send("a:push", message(1)).drop("b:pull", message(1)).drop("b:pull", message(2))
    assert told(build.trace) == [("a", "b", "sent dropped"), ("", "b", "dropped")]
    assert all(hop.lost for hop in build.trace.hops)


def test_only_one_of_two_alike_is_given_up() -> None:
    build = Build().link("a:push", "b:pull")
    for _ in range(2):
        build.cross("a:push", "b:pull", message(1))
    build.drop("b:pull", message(1))
    assert told(build.trace) == [("a", "b", "sent received"), ("a", "b", "sent received dropped")]


def test_a_publication_is_given_up_for_each_subscriber() -> None:
    build = publisher()
    for name in "ab":
        build.subscribe(f"{name}:sub", b"t", "p:out")
    build.drop("p:out", b"t", message(1)).drop("p:out", b"other", message(2))
    build.send("p:out", b"t", message(3)).receive("a:sub", b"t", message(3))
    build.drop("p:out", b"t", message(3))
    assert told(build.trace) == [
        ("p", "a", "dropped"),
        ("p", "b", "dropped"),
        ("p", "", "dropped"),
        ("p", "a", "sent received"),
        ("p", "b", "sent dropped"),
    ]


def test_what_a_subscriber_gives_up_of_its_own_accord_was_for_it() -> None:
    """It asked for `client1`, and ZeroMQ gives it what is for `client10` as well."""
    build = publisher(subscribers="a").subscribe("a:sub", b"client1", "p:out")
    build.cross("p:out", "a:sub", b"client10", message(1)).drop("a:sub", b"client10", message(1))
    assert told(build.trace) == [("p", "a", "sent received dropped")]


def test_a_feedback_that_the_router_gives_up_was_received_by_it() -> None:
    build = Build().master()
    frames = [b"Pub", b"", b"1"]
    build.send("server.Pub:broker", *frames[1:])
    build.receive("server.router:outbound", *frames).drop("server.router:outbound", *frames)
    assert told(build.trace, "credit") == [("server.Pub", "server.router", "sent received dropped")]


def test_nothing_gives_no_hops() -> None:
    assert Trace().hops == ()
