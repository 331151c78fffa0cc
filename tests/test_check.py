"""Check: what no run should do is found and said; what is right is not found fault with."""

from __future__ import annotations

import pytest
from builder import Build, message

from pylm_lab.trace import Count, Finding, Trace, counts, invariants


def sentences(trace: Trace, name: str = "") -> list[str]:
    """What is found, by one invariant or by all; with hops that exist."""
    found = trace.check(only=name or None)
    for finding in found:
        assert finding.name in invariants()
        assert all(0 <= n < len(trace.hops) for n in finding.hops)
        assert str(finding) == finding.sentence
        assert repr(finding) == f"<{finding.name}: {finding.sentence}>"
    return [finding.sentence for finding in found]


def numbers(trace: Trace, finding: Finding) -> list[str]:
    """The messages that a finding is about."""
    return [trace.numbers[trace.hops[n].message] for n in finding.hops]


def ten(workers: int = 2) -> Build:
    """Ten messages, there and back."""
    build = Build().master(workers)
    for n in range(10):
        build.run(n + 1, worker=f"worker{1 + n % workers}")
    return build


# ----------------------------------------------------------------------------- a run that is right


def test_of_a_run_that_is_right_nothing_is_found() -> None:
    build = ten()
    build.cross("client:db", "server.Cache:listen_to", message(90))
    build.cross("server.Cache:listen_to", "client:db", b"value")
    build.cross("server.Pub:listen_to", "client:sub", b"\xffready:client", b"")
    build.cross("server.Pull:broker", "server.router:inbound", b"", b"1")
    assert build.end().check() == []


def test_of_a_trace_without_a_run_nothing_is_found() -> None:
    assert Trace().check() == []
    assert Build().master(joined=False).trace.check() == []


def test_while_the_run_goes_on_nothing_is_lost() -> None:
    build = ten().run(11, until="server.WorkerPush:listen_to")
    assert build.trace.check() == []
    assert build.end().check() != []


# ------------------------------------------------------------------------------------ conservation


def test_a_message_that_is_never_received_is_named_with_its_link() -> None:
    build = ten(workers=1).run(11, until="server.WorkerPush:listen_to")
    trace = build.end()
    (finding,) = [f for f in trace.check() if f.name == "conservation"]
    assert finding.sentence == (
        "Message 11 was sent by WorkerPush and never received:"
        " it is lost between WorkerPush and worker1."
    )
    assert numbers(trace, finding) == ["11"]
    (hop,) = [trace.hops[n] for n in finding.hops]
    assert (hop.source, hop.received) == ("server.WorkerPush", None)


def test_where_one_of_several_would_have_received_it_all_are_named() -> None:
    build = Build().master(workers=3).run(1, until="server.WorkerPush:listen_to")
    assert sentences(build.end(), "conservation") == [
        "Message 1 was sent by WorkerPush and never received:"
        " it is lost between WorkerPush and one of worker1, worker2 and worker3."
    ]


def test_several_messages_with_one_fate_are_one_finding() -> None:
    build = Build().master(workers=1)
    for id in (1, 2, 3):
        build.run(id, until="client:push")
    for id in range(4, 24):
        build.run(id, until="server.Pull:broker")
    found = sentences(build.end(), "conservation")
    assert found == [
        "Messages 1, 2 and 3 were sent by client and never received:"
        " they are lost between client and Pull.",
        "Messages 4, 5, 6, 7, 8, 9, 10, 11 and 12 more were sent by Pull and never received:"
        " they are lost between Pull and the router.",
    ]


def test_only_when_the_receiver_has_stopped_is_it_lost() -> None:
    build = Build().master(workers=2).run(1, until="server.WorkerPush:listen_to")
    build.run(2, until="server.Pull:broker")
    for actor in ("worker1", "server.router"):
        build.hook.actor_stopped(actor, build.tick())
    assert [s.split(" was")[0] for s in sentences(build.trace)] == ["Message 2"]
    build.hook.actor_stopped("worker2", build.tick())
    assert [s.split(" was")[0] for s in sentences(build.trace)] == ["Message 1", "Message 2"]
    build.hook.actor_started("worker1", build.tick())
    assert [s.split(" was")[0] for s in sentences(build.trace)] == ["Message 2"]


@pytest.mark.parametrize("port", ["server.WorkerPush:listen_to", "server.Pub:listen_to"])
def test_what_is_given_up_for_a_cause_is_no_loss_of_the_link(port: str) -> None:
    way = Build().master().run(1, until=port)
    way.drop(port, *([b"client"] if "Pub" in port else []), message(1), cause="a rule")
    assert sentences(way.end(), "conservation") == []


def test_each_subscriber_counts() -> None:
    build = Build().master(clients=2).run(1, until="server.Pub:listen_to", client="other")
    build.subscribe("client:sub", b"oth").run(2, client="other")
    assert sentences(build.end(), "conservation") == [
        "Message 1 was sent by Pub and never received: it is lost between Pub and other.",
        "Message 2 was sent by Pub and never received: it is lost between Pub and client.",
    ]


def test_what_is_published_for_nobody_is_no_loss() -> None:
    build = Build().master()
    build.send("server.Pub:listen_to", b"somebody", message(1))
    assert build.end().check() == []


def test_what_a_subscriber_leaves_unread_is_no_loss() -> None:
    build = Build().master().run(1).send("server.Pub:listen_to", b"client", message(2, parent=1))
    build.hook.topic_unsubscribed(build.ports["client:sub"], b"client", build.tick())
    assert build.end().check() == []


def test_a_receive_that_nobody_has_sent_is_named() -> None:
    build = Build().master().run(1, since="worker1:pull")
    trace = build.end()
    assert sentences(trace, "conservation") == [
        "Message 1 was received by worker1, but nobody has sent it there."
    ]


def test_what_comes_from_outside_the_record_is_not_judged() -> None:
    """Only the server was recorded: its clients and workers are somebody else's."""
    build = Build().master(workers=0, clients=0)
    build.run(1, since="server.Pull:listen_to", until="server.WorkerPush:listen_to")
    build.run(1, since="server.WorkerPull:listen_to", until="server.Pub:listen_to")
    assert len(build.trace.hops) == 8
    assert build.end().check() == []


def test_a_message_without_an_id_is_lost_too() -> None:
    build = Build().link("a:push", "b:pull").send("a:push", message()).send("a:push", message(1))
    assert sentences(build.end()) == [
        "Messages 1 and 1 more were sent by a and never received: they are lost between a and b."
    ]
    build = Build().link("a:push", "b:pull").send("a:push", message())
    lost = "was sent by a and never received: it is lost between a and b."
    assert sentences(build.end()) == [f"A message without an id {lost}"]


# ----------------------------------------------------------------------------------------- answers


def test_a_message_that_a_worker_never_answers_is_named() -> None:
    build = ten().run(11, worker="worker2", until="worker2:pull")
    trace = build.end()
    (finding,) = trace.check()
    assert finding.name == "answers"
    assert finding.sentence == (
        "Message 11 never came back to client: worker2 received it and never answered."
    )
    assert [trace.hops[n].target for n in finding.hops] == ["worker2"]


@pytest.mark.parametrize(
    ("until", "says"),
    [
        ("client:push", "client sent it, but nobody received it"),
        ("server.Pull:listen_to", "Pull received it and handed it to nobody"),
        ("server.WorkerPush:broker", "WorkerPush received it and handed it to nobody"),
        ("server.Pub:listen_to", "Pub sent it, but nobody received it"),
    ],
)
def test_where_a_message_ended_is_told(until: str, says: str) -> None:
    build = Build().master().run(1, until=until)
    assert sentences(build.end(), "answers") == [f"Message 1 never came back to client: {says}."]


def test_the_cause_for_which_it_was_given_up_is_told() -> None:
    build = Build().master().run(1, until="server.router:inbound").run(2, until="worker1:pull")
    build.drop("server.router:outbound", b"Pub", b"", message(1), cause="a rule drops\nthe first")
    build.drop("worker1:pull", message(2), cause="")
    gone = "never came back to client:"
    assert sentences(build.end()) == [
        f"Message 1 {gone} the router gave it up (a rule drops\\nthe first).",
        f"Message 2 {gone} worker1 gave it up (no cause is recorded).",
    ]


def test_several_messages_that_ended_alike_are_one_finding() -> None:
    build = Build().master()
    for id in (1, 2):
        build.run(id, until="worker1:pull")
    assert sentences(build.end()) == [
        "Messages 1 and 2 never came back to client: worker1 received them and never answered."
    ]


def test_an_answer_may_be_a_descendant() -> None:
    build = Build().master().run(1, until="server.Pull:listen_to")
    for child in (2, 3):
        build.run(child, since="server.Pull:broker", data=message(child, parent=1))
    build.run(4, until="worker1:pull")
    build.run(
        5, since="worker1:push", until="server.WorkerPull:listen_to", data=message(5, parent=4)
    )
    build.run(6, since="server.WorkerPull:broker", data=message(6, parent=5))
    assert build.end().check() == []


def test_of_several_descendants_one_suffices() -> None:
    build = Build().master().run(1, until="server.Pull:listen_to")
    build.run(2, since="server.Pull:broker", data=message(2, parent=1))
    build.run(3, since="server.Pull:broker", until="worker1:pull", data=message(3, parent=1))
    assert build.end().check() == []


def test_messages_that_descend_from_each_other_do_not_go_round_for_ever() -> None:
    build = Build().master().run(1, since="server.Pub:listen_to", data=message(1, parent=2))
    build.run(2, since="server.Pub:listen_to", data=message(2, parent=1))
    assert sentences(build.end(), "answers") == []


def test_an_answer_that_comes_twice_is_named() -> None:
    build = ten().run(10, since="server.Pub:listen_to").run(9, since="server.Pub:listen_to")
    trace = build.run(9, since="server.Pub:listen_to").end()
    assert sentences(trace) == [
        "Message 9 reached client 3 times.",
        "Message 10 reached client twice.",
    ]


def test_an_answer_that_reaches_another_client_is_named() -> None:
    build = Build().master(clients=2).run(1, until="server.Pub:broker")
    build.subscribe("other:sub", b"client")
    build.cross("server.Pub:listen_to", "other:sub", b"client", message(1))
    build.receive("client:sub", b"client", message(1))
    trace = build.end()
    assert sentences(trace) == ["Message 1 reached other, but client asked for it."]


def test_an_answer_that_only_another_client_gets_is_one_finding() -> None:
    build = Build().master(clients=2).run(1, until="server.Pub:broker")
    build.hook.topic_unsubscribed(build.ports["client:sub"], b"client", build.tick())
    build.subscribe("other:sub", b"client")
    build.cross("server.Pub:listen_to", "other:sub", b"client", message(1))
    assert sentences(build.end()) == [
        "Message 1 reached other instead of client, who had asked for it."
    ]


def test_what_a_client_puts_aside_has_not_reached_it() -> None:
    """ZeroMQ gives `client1` what is for `client10`; who compares the whole topic drops it."""
    build = Build().master(clients=2).run(1, until="server.Pub:broker")
    build.subscribe("other:sub", b"cli")
    build.cross("server.Pub:listen_to", "client:sub", b"client", message(1))
    build.receive("other:sub", b"client", message(1)).drop("other:sub", b"client", message(1))
    assert build.end().check() == []


def test_who_has_left_gets_no_answer_and_misses_none() -> None:
    build = Build().master().run(1, until="server.Pub:broker").run(2, until="server.Pub:broker")
    build.hook.topic_unsubscribed(build.ports["client:sub"], b"client", build.tick())
    build.drop("server.Pub:listen_to", b"client", message(1), cause="nobody is subscribed any more")
    build.cross("server.Pub:listen_to", "client:sub", b"client", message(2))
    build.drop("client:sub", b"client", message(2), cause="it answers an earlier call")
    assert build.end().check() == []


def test_but_what_is_lost_before_it_comes_so_far_is_missed() -> None:
    build = Build().master().run(1, until="worker1:pull")
    build.hook.topic_unsubscribed(build.ports["client:sub"], b"client", build.tick())
    assert len(sentences(build.end(), "answers")) == 1


def test_who_has_left_misses_what_was_given_up_on_its_way() -> None:
    build = Build().master().run(1, until="server.Pull:listen_to")
    build.hook.topic_unsubscribed(build.ports["client:sub"], b"client", build.tick())
    build.drop("server.Pull:broker", b"", message(1))
    assert len(sentences(build.end(), "answers")) == 1


def test_a_client_that_still_waits_has_lost_nothing() -> None:
    build = Build().master().run(1, until="worker1:pull")
    assert build.trace.check() == []
    build.hook.actor_stopped("worker1", build.tick())
    assert build.trace.check() == []
    build.hook.actor_stopped("client", build.tick())
    assert len(build.trace.check()) == 1


def test_when_all_who_ran_have_stopped_the_run_is_over() -> None:
    build = Build().link("a:push", "b:pull").send("a:push", message(1))
    assert build.trace.check() == [], "nobody has told that anything ran"
    build.hook.actor_started("a", build.tick())
    assert build.trace.check() == []
    build.hook.actor_stopped("a", build.tick())
    assert len(build.trace.check()) == 1


def test_a_client_that_never_ran_has_ended_when_it_disconnects() -> None:
    build = Build().actor("c", "client").link("c:push", "w:pull", address="inproc://w")
    build.port("c:sub", "SUB", "inproc://p", receives="message")
    build.hook.actor_started("w", build.tick())
    build.cross("c:push", "w:pull", message(1))
    assert build.trace.check() == []
    build.hook.port_disconnected(build.ports["c:push"], "inproc://w", build.tick())
    assert sentences(build.trace) == [
        "Message 1 never came back to c: w received it and never answered."
    ]


def test_a_message_of_a_part_without_a_route_is_at_its_end() -> None:
    """The router acknowledges it, and that is all that was asked."""
    build = Build().master().part("Log", "inbound", "PULL")
    build.join("server.Log:listen_to", "inproc://Log").join("server.Log:broker", "inproc://inbound")
    build.port("client:log", "PUSH", "inproc://Log", sends="message")
    build.cross("client:log", "server.Log:listen_to", message(1))
    build.send("server.Log:broker", b"", message(1))
    build.receive("server.router:inbound", b"Log", b"", message(1))
    assert build.end().check() == []


# ---------------------------------------------------------------------------- links, order, actors


def undeclared() -> Build:
    """`a` and `b`, whose ports were never joined."""
    build = Build().actor("a", "worker").actor("b", "worker")
    return build.port("a:push", "PUSH", sends="message").port("b:pull", "PULL", receives="message")


def test_a_hop_where_no_link_was_declared_is_named() -> None:
    build = undeclared().cross("a:push", "b:pull", message(1)).cross("a:push", "b:pull", message(2))
    trace = build.end()
    assert trace.check() == [
        Finding(
            "declared links",
            "Messages 1 and 2 went from a to b, but no link was declared between them.",
            (0, 1),
        )
    ]


def test_a_bypass_part_at_the_router_is_named() -> None:
    build = Build().master(joined=False)
    build.port("server.Cache:extra", "DEALER", sends="message", receives="credit", outer=False)
    wired = build.join("server.router:inbound", "inproc://in").join(
        "server.Cache:extra", "inproc://in"
    )
    says = "Cache is a bypass part, but it has a wire to the router."
    assert wired.trace.check() == [Finding("bypass", says)]
    build.send("server.Cache:extra", b"", message(1))
    build.receive("server.router:inbound", b"Cache", b"", message(1))
    assert build.end().check() == [Finding("bypass", says, (0,))]


def test_messages_that_overtake_each_other_are_named() -> None:
    build = Build().link("a:push", "b:pull").link("a:other", "c:pull")
    for id in (1, 2, 3):
        build.send("a:push", message(id))
    build.send("a:other", message(4))
    for id in (2, 1, 3):
        build.receive("b:pull", message(id))
    build.receive("c:pull", message(4))
    trace = build.end()
    assert trace.check() == [
        Finding("order", "Message 2 overtook message 1 between a and b.", (0, 1))
    ]


def test_of_many_that_overtook_the_first_is_told_and_how_many_there_are() -> None:
    build = Build().link("a:push", "b:pull")
    for id in (1, 2, 3, 4):
        build.send("a:push", message(id))
    for id in (4, 3, 2, 1):
        build.receive("b:pull", message(id))
    (finding,) = build.end().check()
    assert finding.sentence == (
        "Message 2 overtook message 1 between a and b; 2 more came out of order there."
    )
    assert finding.hops == (0, 1, 2, 3)


def test_several_workers_may_finish_in_any_order() -> None:
    build = Build().master()
    for id, worker in ((1, "worker1"), (2, "worker2")):
        build.run(id, worker=worker, until=f"{worker}:pull")
    for id, worker in ((2, "worker2"), (1, "worker1")):
        build.run(id, worker=worker, since=f"{worker}:push")
    assert build.end().check() == []


def test_an_actor_that_failed_is_named_with_the_message_it_had() -> None:
    build = Build().master().run(1, until="worker1:pull")
    build.recorder.actor_failed("worker1", ValueError("no\n" + "x" * 900), build.tick())
    build.recorder.actor_failed("worker2", OSError(), build.tick())
    trace = build.end()
    failed = [finding for finding in trace.check() if finding.name == "failures"]
    assert [finding.sentence[:40] for finding in failed] == [
        "worker1 failed: ValueError: no\\nxxxxxxxx",
        "worker2 failed: OSError.",
    ]
    assert failed[0].sentence.endswith("x…; message 1 stayed with it.")
    assert len(failed[0].sentence) < 180
    assert [trace.hops[n].target for n in failed[0].hops] == ["worker1"]
    assert failed[1].hops == ()


# ------------------------------------------------------------------------------------------ counts


def test_what_is_sent_is_received_on_every_link() -> None:
    found = counts(ten().end())
    assert list(found.items()) == [
        (("client", "server.Pull"), Count(10, 10, 0, 0)),
        (("server.Pull", "server.router"), Count(10, 10, 0, 0)),
        (("server.router", "server.WorkerPush"), Count(10, 10, 0, 0)),
        (("server.WorkerPush", "worker1"), Count(5, 5, 0, 0)),
        (("worker1", "server.WorkerPull"), Count(5, 5, 0, 0)),
        (("server.WorkerPull", "server.router"), Count(10, 10, 0, 0)),
        (("server.router", "server.Pub"), Count(10, 10, 0, 0)),
        (("server.Pub", "client"), Count(10, 10, 0, 0)),
        (("server.WorkerPush", "worker2"), Count(5, 5, 0, 0)),
        (("worker2", "server.WorkerPull"), Count(5, 5, 0, 0)),
    ]


def test_a_count_adds_up_whatever_became_of_the_messages() -> None:
    build = Build().link("a:push", "b:pull")
    build.cross("a:push", "b:pull", message(1))  # received
    build.cross("a:push", "b:pull", message(2)).drop("b:pull", message(2))  # and given up
    build.send("a:push", message(3))  # on its way
    build.send("a:push", message(4)).drop("a:push", message(4))  # given up after it was sent
    build.drop("a:push", message(5))  # given up before
    assert counts(build.trace) == {("a", "b"): Count(sent=5, received=2, in_flight=1, dropped=2)}


def test_a_publication_counts_for_each_subscriber() -> None:
    build = Build().master(clients=2).subscribe("other:sub", b"client").run(1)
    build.receive("other:sub", b"client", message(1))
    build.send("server.Pub:listen_to", b"nobody", message(2))
    build.drop("server.Pub:listen_to", b"nobody", message(3))
    found = counts(build.trace)
    assert found["server.Pub", "client"] == found["server.Pub", "other"] == Count(1, 1, 0, 0)
    assert found["server.Pub", ""] == Count(sent=1, received=0, in_flight=0, dropped=1)


def test_other_kinds_are_counted_on_request() -> None:
    build = Build().master().cross("client:db", "server.Cache:listen_to", message(1))
    build.cross("server.Cache:listen_to", "client:db", b"value")
    assert counts(build.trace) == {}
    assert counts(build.trace, "request", "answer") == {
        ("client", "server.Cache"): Count(1, 1, 0, 0),
        ("server.Cache", "client"): Count(1, 1, 0, 0),
    }


def test_what_nobody_has_sent_does_not_add_up() -> None:
    build = Build().link("a:push", "b:pull").receive("b:pull", message(1))
    assert counts(build.trace) == {("", "b"): Count(sent=0, received=1, in_flight=0, dropped=0)}
