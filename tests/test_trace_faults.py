"""Faults in the record: what is kept of them, what they mean for hops, what is found and told."""

from __future__ import annotations

import math

import pytest
from builder import Build, message, steps_of

from pylm_lab.draw.animation import animate
from pylm_lab.draw.animation.pace import pace
from pylm_lab.draw.animation.stage import Stage
from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.moment import length, midway, point_at
from pylm_lab.draw.router.reading import survey
from pylm_lab.draw.scene import Pill
from pylm_lab.draw.story import EVERY, Step, tell
from pylm_lab.draw.style import THEMES
from pylm_lab.hook import Decision
from pylm_lab.trace import Event, Hop, Trace, counts
from pylm_lab.trace.record.tape import Long

PUSH, PULL = "server.WorkerPush:listen_to", "worker1:pull"
DROPS = "a rule drops the 3rd message"
DOUBLES = "a rule doubles the 2nd message"
DELAYS = "a rule delays the 2nd message by 1 s"


def dealt(*ids: int, workers: int = 2) -> Build:
    """These messages have left WorkerPush, and nobody has received them."""
    build = Build().master(workers)
    for id in ids:
        build.run(id, until=PUSH)
    return build


def doubled(why: str = DOUBLES) -> Build:
    """Message 1 comes to worker1 twice, which answers it twice."""
    build = dealt(1).fault(PULL, "duplicate", message(1), why=why).run(1, since=PULL)
    return build.run(1, since=PULL, data=message(1, clock=1))


def dropped(port: str, *frames: bytes, build: Build) -> Trace:
    return build.fault(port, "drop", *frames, why=DROPS).end()


def found(trace: Trace, name: str) -> list[str]:
    return [finding.sentence for finding in trace.check(only=name)]


def faults(steps: tuple[Step, ...]) -> list[Step]:
    return [step for step in steps if step.fault]


# ------------------------------------------------------------------------------------ what is kept


def struck_without_ids(count: int) -> Trace:
    """So many messages without an id, of which a fault strikes every fifth."""
    build = Build().link("a:push", "b:pull")
    for n in range(count):
        build.send("a:push", b"hello")
        if n % 5 == 0:
            build.fault("b:pull", "corrupt", b"hello", why="a rule changes it")
        build.receive("b:pull", b"hello")
    return build.end()


def test_twice_as_many_without_an_id_that_are_struck_take_twice_the_work() -> None:
    few, many = (struck_without_ids(count) for count in (200, 400))
    assert [len(trace.hops) for trace in (few, many)] == [200, 400]  # these are there already
    work = [steps_of(lambda trace: trace.struck, trace) for trace in (few, many)]
    assert [*many.struck.values()] == [*range(0, 400, 5)]
    assert work[1] < 2.5 * work[0]


def test_a_fault_keeps_the_frames_that_it_acts_on() -> None:
    data = message(0xABC, parent=7, clock=3, payload=b"caf\xc3\xa9")
    build = Build().link("a:push", "b:pull").send("a:push", data)
    assert build.fault("b:pull", "delay", data, why=DELAYS).trace.events[-1] == Event(
        at=4,
        what="fault",
        actor="b",
        port="b:pull",
        kind="message",
        message="0000000000000abc",
        parent="0000000000000007",
        clock=3,
        function="server.foo",
        sizes=(len(data),),
        excerpt="café",
        text=DELAYS,
        fault="delay",
    )


def test_a_fault_of_an_actor_has_no_port() -> None:
    build = Build().link("a:push", "b:pull").fault("b", "crash", why="a fault crashes b")
    assert build.trace.events[-1] == Event(
        at=3, what="fault", actor="b", text="a fault crashes b", fault="crash"
    )


def test_of_a_long_message_that_is_struck_all_that_matters_is_kept() -> None:
    data = message(5, payload=b"x" * 100_000)
    build = Build().link("a:push", "b:pull").fault("b:pull", "corrupt", data, why="y" * 9_000)
    event = build.trace.events[-1]
    assert (event.message, event.sizes, event.excerpt) == (f"{5:016x}", (len(data),), "x" * 64)
    assert len(event.text) == 500
    (kept,) = build.recorder._tapes["b"].copy().last
    assert isinstance(kept, Long)
    assert sum(map(len, kept.frames)) <= 512, "more is kept than is shown"


@pytest.mark.parametrize(
    ("port", "frames", "kind"),
    [
        # Without a stamp, a port that also sends credits might mean one of these.
        ("server.WorkerPush:broker", [b"", message()], "message"),
        ("server.Pull:broker", [b"", b"1"], "credit"),
        ("server.Cache:listen_to", [message(9)], "request"),
        ("client:db", [b"a value"], "answer"),
        ("client:sub", [b"client", message(1)], "message"),
    ],
)
def test_what_a_fault_drops_was_to_be_received(port: str, frames: list[bytes], kind: str) -> None:
    trace = Build().master().fault(port, "drop", *frames).trace
    assert [(e.what, e.kind) for e in trace.events[-2:]] == [("fault", kind), ("drop", kind)]


def test_decisions_are_kept_in_their_order_whatever_the_limit() -> None:
    build = Build(limit=3, schedule="seeded", seed=1).link("a:push", "b:pull")
    for id in range(1, 9):
        build.decide("send", "a", "a:push").send("a:push", message(id))
    build.decide("inject", text="drop('a→b')")
    trace = build.trace
    assert trace.forgotten == 5
    assert [d.kind for d in trace.decisions] == ["send"] * 8 + ["inject"]
    assert trace.decisions[-1] == Decision(at=11, kind="inject", text="drop('a→b')")


def test_a_decision_makes_a_new_trace() -> None:
    build = Build().master()
    before = build.trace
    build.decide("start", "client")
    assert len(build.trace.decisions) == 1
    assert before.decisions == ()


def test_options_are_those_that_the_recorder_is_told() -> None:
    build = Build(options={"workers": 2})
    before = build.trace
    assert before.options == {"workers": 2}
    build.recorder.about(options={"workers": 3})
    assert build.trace.options == {"workers": 3}
    assert before.options == {"workers": 2}
    assert hash(build.trace) == hash(before)


def test_faults_are_no_messages_to_be_counted() -> None:
    build = Build(limit=2).link("a:push", "b:pull").send("a:push", message(1))
    for _ in range(4):
        build.fault("b:pull", "delay", message(1))
    build.receive("b:pull", message(1))
    assert build.recorder.totals() == {("a:push", "send"): 1, ("b:pull", "receive"): 1}


# ------------------------------------------------------------------------------------------- hops


def test_a_fault_is_no_hop() -> None:
    build = dealt(1).fault(PULL, "delay", message(1)).run(1, since=PULL)
    plain = Build().master().run(1)
    same = [(hop.kind, hop.message, hop.link) for hop in plain.trace.hops]
    assert [(hop.kind, hop.message, hop.link) for hop in build.trace.hops] == same
    assert build.trace.numbers == plain.trace.numbers


def test_what_a_fault_drops_was_sent_and_never_received() -> None:
    trace = dropped(PULL, message(1), build=dealt(1))
    hop = trace.hops[-1]
    assert hop.link == ("server.WorkerPush", "worker1")
    assert (hop.lost, hop.sent is None) == (True, False)
    assert trace.faults.dropped == {hop.dropped: hop.dropped - 1 if hop.dropped else None}


def test_a_drop_is_a_faults_only_right_after_it() -> None:
    build = dealt(1, 2).fault(PULL, "delay", message(1)).drop(PULL, message(1), cause="the end")
    build.fault(PULL, "drop", message(2)).drop(PULL, message(3), cause="the end")
    trace = build.end()
    texts = [trace.events[n].text for n in trace.faults.dropped]
    assert texts == ["a rule"]


def test_a_drop_of_another_message_is_no_faults() -> None:
    build = dealt(1, 2)
    port = build.ports[PULL]
    build.hook.fault_struck("worker1", port, [message(1)], "drop", DROPS, build.tick())
    assert build.drop(PULL, message(2), cause="the end").end().faults.dropped == {}


def test_what_is_doubled_comes_once_more_from_where_it_was_sent() -> None:
    trace = doubled().trace
    first, second = [hop for hop in trace.hops if hop.target == "worker1"]
    assert first.link == second.link == ("server.WorkerPush", "worker1")
    assert first.sent is not None
    assert second.sent is None
    assert list(trace.faults.doubled) == [second.received]
    link = counts(trace)["server.WorkerPush", "worker1"]
    assert (link.sent, link.received) == (1, 2)


def test_what_has_no_id_is_doubled_too() -> None:
    """Credits are matched in order: the second one must not take the send of the third."""
    build = Build().master()
    push, pull = "server.router:inbound", "server.Pull:broker"
    build.send(push, b"Pull", b"", b"1").fault(pull, "duplicate", b"", b"1")
    build.receive(pull, b"", b"1").receive(pull, b"", b"1")
    build.send(push, b"Pull", b"", b"1").receive(pull, b"", b"1")
    hops = list(build.trace.hops_of("credit"))
    assert [hop.sent is None for hop in hops] == [False, True, False]
    assert {hop.source for hop in hops} == {"server.router"}


def test_a_drop_of_the_second_is_no_drop_of_the_first() -> None:
    build = dealt(1).fault(PULL, "duplicate", message(1)).receive(PULL, message(1))
    trace = build.fault(PULL, "drop", message(1), why=DROPS).end()
    received = [hop for hop in trace.hops if hop.target == "worker1" and hop.received is not None]
    assert [hop.dropped for hop in received] == [None]


def test_who_holds_back_what_is_never_received_is_known() -> None:
    trace = dealt(1).fault(PULL, "delay", message(1)).end()
    assert trace.hops[-1].link == ("server.WorkerPush", "worker1")
    assert dealt(1).end().hops[-1].link == ("server.WorkerPush", ""), "it was dealt to one of two"


def test_a_fault_knows_its_hop() -> None:
    build = dealt(1).fault(PULL, "delay", message(1)).run(1, since=PULL)
    build.run(2, until=PUSH).fault(PULL, "corrupt", message(2)).run(2, since=PULL)
    trace = build.fault("worker1", "crash").end()
    links = [trace.hops[hop].link for hop in trace.struck.values()]
    assert links == [("server.WorkerPush", "worker1")] * 2
    assert [trace.numbers[trace.hops[hop].message] for hop in trace.struck.values()] == ["1", "2"]


# --------------------------------------------------------------------------------- what is found


def test_what_a_rule_drops_is_found_with_the_rule() -> None:
    build = dealt(1, 2).run(3)
    for id in (1, 2):
        build.fault(PULL, "drop", message(id), why=DROPS)
    trace = build.end()
    assert found(trace, "conservation") == [
        f"Messages 1 and 2 are lost between WorkerPush and worker1: {DROPS}."
    ]
    assert found(trace, "answers") == [
        "Messages 1 and 2 never came back to client:"
        f" they are lost between WorkerPush and worker1 ({DROPS})."
    ]
    (finding,) = [f for f in trace.check() if f.name == "conservation"]
    assert [trace.hops[n].target for n in finding.hops] == ["worker1", "worker1"]


def test_each_rule_and_each_link_is_a_finding_of_its_own() -> None:
    build = dealt(1, 2).run(3, until="server.Pull:broker")
    build.fault(PULL, "drop", message(1), why=DROPS).fault(PULL, "part", message(2), why="a part")
    build.fault("server.router:inbound", "drop", b"Pull", b"", message(3), why=DROPS)
    assert found(build.end(), "conservation") == [
        f"Message 1 is lost between WorkerPush and worker1: {DROPS}.",
        "Message 2 is lost between WorkerPush and worker1: a part.",
        f"Message 3 is lost between Pull and the router: {DROPS}.",
    ]


def test_requests_answers_and_credits_that_a_rule_drops_are_found() -> None:
    build = Build().master().send("client:db", message(8))
    build.fault("server.Cache:listen_to", "drop", message(8), why=DROPS)
    build.cross("client:db", "server.Cache:listen_to", message(9))
    build.send("server.Cache:listen_to", b"value").fault("client:db", "drop", b"value", why=DROPS)
    for _ in range(2):
        build.send("server.router:inbound", b"Pull", b"", b"1")
        build.fault("server.Pull:broker", "drop", b"", b"1", why=DROPS)
    assert found(build.end(), "conservation") == [
        f"Request r1 is lost between client and Cache: {DROPS}.",
        f"An answer is lost between Cache and client: {DROPS}.",
        f"2 acknowledgements are lost between the router and Pull: {DROPS}.",
    ]


def test_without_a_fault_what_is_given_up_for_a_cause_is_no_finding() -> None:
    build = Build().master().run(1, until=PUSH).drop(PULL, message(1), cause="a cause")
    build.send("client:db", message(8)).drop("server.Cache:listen_to", message(8), cause="a cause")
    assert found(build.end(), "conservation") == []


def test_what_is_doubled_is_found_with_the_rule() -> None:
    trace = doubled().end()
    assert found(trace, "conservation") == [
        f"Message 1 reached worker1 twice, though WorkerPush sent it once: {DOUBLES}."
    ]
    assert found(trace, "answers") == ["Message 1 reached client twice."]


def test_what_a_client_gets_twice_is_found() -> None:
    build = Build().master().run(1, until="server.Pub:listen_to")
    build.fault("client:sub", "duplicate", b"client", message(1), why=DOUBLES)
    for _ in range(2):
        build.receive("client:sub", b"client", message(1))
    assert found(build.end(), "conservation") == [
        f"Message 1 reached client twice, though Pub sent it once: {DOUBLES}."
    ]


def test_what_two_rules_double_comes_three_times() -> None:
    build = dealt(1)
    for _ in range(2):
        build.fault(PULL, "duplicate", message(1), why=DOUBLES)
    for _ in range(3):
        build.receive(PULL, message(1))
    assert found(build.end(), "conservation") == [
        f"Message 1 reached worker1 3 times, though WorkerPush sent it once: {DOUBLES}."
    ]


@pytest.mark.parametrize("fault", ["delay", "reorder", "corrupt"])
def test_what_arrives_in_the_end_is_no_loss(fault: str) -> None:
    build = dealt(1).fault(PULL, fault, message(1))  # type: ignore[arg-type]
    data = message(1, payload=b"other") if fault == "corrupt" else message(1)
    assert build.run(1, since=PULL, data=data).end().check() == []


def test_what_was_let_past_is_a_finding_of_the_order_alone() -> None:
    build = dealt(1, 2).fault(PULL, "reorder", message(1))
    build.run(2, since=PULL).run(1, since=PULL)
    assert [f.sentence for f in build.end().check()] == [
        "Message 2 overtook message 1 between WorkerPush and worker1."
    ]


def test_what_is_held_back_to_the_end_is_lost_to_the_rule() -> None:
    assert found(dealt(1).fault(PULL, "delay", message(1), why=DELAYS).end(), "conservation") == [
        f"Message 1 is lost between WorkerPush and worker1: {DELAYS}."
    ]


@pytest.mark.parametrize("fault", ["crash", "stop"])
def test_what_a_worker_that_was_ended_never_received_is_lost_to_the_fault(fault: str) -> None:
    why = f"a fault {fault}s worker1 before the 2nd message"
    build = Build().master().run(1, until=PULL).run(2, until=PUSH)
    build.fault("worker1", fault, why=why)  # type: ignore[arg-type]
    build.drop(PULL, message(2), cause="worker1 ended before it received it")
    if fault == "crash":
        build.hook.actor_failed("worker1", ValueError("planted"), build.tick())
    build.hook.actor_stopped("worker1", build.tick())
    build.actors.remove("worker1")
    build.run(3, worker="worker2").run(4, until=PUSH).run(5, until=PUSH)
    assert found(build.trace, "conservation") == [
        f"Message 2 is lost between WorkerPush and worker1: {why}."
    ], "the others go on: what was dealt may be on its way to them"
    build.drop(PULL, message(4), cause="worker1 ended before it received it")
    trace = build.end()
    assert found(trace, "conservation") == [
        f"Messages 2 and 4 are lost between WorkerPush and worker1: {why}.",
        f"Message 5 is lost between WorkerPush and one of worker1 and worker2: {why}.",
    ]
    assert found(trace, "answers") == [
        f"Message 1 never came back to client: worker1 received it and never answered ({why}).",
        "Messages 2 and 4 never came back to client:"
        f" they are lost between WorkerPush and worker1 ({why}).",
        f"Message 5 never came back to client: WorkerPush sent it, but nobody received it ({why}).",
    ]


def test_what_is_swept_up_after_a_normal_end_is_no_finding() -> None:
    build = dealt(1).fault("worker2", "crash", why="a fault crashes worker2")
    build.drop(PULL, message(1), cause="worker1 ended before it received it")
    assert found(build.end(), "conservation") == []


def test_what_was_asked_of_a_part_that_crashed_is_lost_to_the_crash() -> None:
    build = Build().master().send("client:db", message(8))
    build.fault("server.Cache", "crash", why="a fault crashes Cache")
    build.drop("server.Cache:listen_to", message(8), cause="Cache ended before it received it")
    assert found(build.end(), "conservation") == [
        "Request r1 is lost between client and Cache: a fault crashes Cache."
    ]


def test_who_gave_up_waiting_for_what_a_rule_dropped_has_missed_it() -> None:
    build = Build().master().run(1, until="server.Pub:listen_to")
    build.fault("client:sub", "drop", b"client", message(1), why=DROPS)
    build.hook.topic_unsubscribed(build.ports["client:sub"], b"client", build.tick())
    assert found(build.end(), "answers") == [
        f"Message 1 never came back to client: it is lost between Pub and client ({DROPS})."
    ]


# ---------------------------------------------------------------------------------- what is told


def test_what_a_rule_drops_is_told_as_a_loss() -> None:
    trace = dropped(PULL, message(1), build=dealt(1))
    steps = tell(trace)
    assert steps[-1].sentence == f"Message 1 is lost between WorkerPush and worker1: {DROPS}."
    assert steps[-1].lost
    assert faults(steps) == []


@pytest.mark.parametrize(
    ("fault", "title", "says"),
    [
        ("delay", "1: held back before worker1", "Message 1 is held back before worker1: why."),
        ("reorder", "1: held back before worker1", "Message 1 is held back before worker1: why."),
        ("duplicate", "1: doubled before worker1", "Message 1 is doubled before worker1: why."),
        (
            "corrupt",
            "1: changed on its way to worker1",
            "Message 1 is changed on its way to worker1: why.",
        ),
    ],
)
def test_what_a_fault_does_to_a_message_is_a_step(fault: str, title: str, says: str) -> None:
    build = dealt(1).fault(PULL, fault, message(1), why="why")  # type: ignore[arg-type]
    steps = tell(build.run(1, since=PULL).end(), server="server")
    (step,) = faults(steps)
    assert (step.fault, step.title, step.sentence) == (fault, title, says)
    assert (step.link, step.number) == (("server.WorkerPush", "worker1"), "1")
    assert (step.arrives, step.lost, step.adds) == (False, False, ())
    assert step.previous == step.index - 1, "it comes after the hop that it acts on"
    assert steps[step.index + 1].previous == step.index
    assert [s.index for s in steps] == list(range(len(steps)))
    assert "worker1" not in step.waiting, "the message of the step is half-way"


@pytest.mark.parametrize(
    ("fault", "why", "title", "says"),
    [
        ("crash", "a fault crashes worker1", "worker1 crashes", "A fault crashes worker1."),
        ("crash", "a rule says so", "worker1 crashes", "worker1 crashes: a rule says so."),
        ("stop", "", "worker1 is stopped", "worker1 is stopped; the record does not say why."),
    ],
)
def test_what_a_fault_does_to_an_actor_is_a_step(
    fault: str, why: str, title: str, says: str
) -> None:
    build = Build().master().run(1).fault("worker1", fault, why=why)  # type: ignore[arg-type]
    trace = build.end()
    (step,) = faults(tell(trace, server="server"))
    assert (step.hop, step.link, step.title, step.sentence) == (None, ("", "worker1"), title, says)
    assert faults(tell(trace, server="another")) == []
    assert faults(tell(trace, faults=False)) == []


def test_a_fault_of_another_kind_is_told_with_that_kind() -> None:
    build = Build().master().send("client:db", message(8))
    build.fault("server.Cache:listen_to", "delay", message(8), why=DELAYS)
    trace = build.receive("server.Cache:listen_to", message(8)).end()
    assert faults(tell(trace)) == []
    (step,) = faults(tell(trace, kinds=EVERY))
    assert step.sentence == f"Request r1 is held back before Cache: {DELAYS}."


def test_what_is_held_back_is_half_way_until_it_is_taken() -> None:
    build = dealt(1).fault(PULL, "delay", message(1)).run(2, worker="worker2").run(1, since=PULL)
    steps = tell(build.end())
    (fault,) = faults(steps)
    (hop,) = [step for step in steps if step.held_back]
    assert hop.link == ("server.WorkerPush", "worker1")
    late = [step.index for step in steps if step.delayed]
    assert late == [s.index for s in steps if s.number == "2"], "while the other is on its way"
    assert {held for step in steps for held in step.delayed} == {
        ("1", "server.WorkerPush", "worker1", None)
    }
    assert all("worker1" not in steps[n].waiting for n in late)
    assert steps[late[0]].status["worker1"] == "idle"
    assert fault.index == late[0] - 1
    assert steps[-1].sentence.startswith("Pub publishes message 1")


def test_what_comes_once_more_is_told() -> None:
    steps = tell(doubled().end())
    again = [step for step in steps if "once more" in step.sentence]
    assert [step.sentence for step in again] == [f"worker1 takes message 1 once more: {DOUBLES}."]
    assert again[0].adds == (("worker1", ""),), "nothing more has crossed the wire"
    assert steps[-1].counts["server.WorkerPush", "worker1"] == 1
    assert steps[-1].counts["worker1", ""] == 2


def test_who_never_got_the_second_still_holds_the_first() -> None:
    build = dealt(1).fault(PULL, "duplicate", message(1)).receive(PULL, message(1))
    build.fault(PULL, "drop", message(1)).run(2, worker="worker2")
    steps = tell(build.end())
    assert all(s.held["worker1"].first == ("1",) for s in steps if s.number == "2")


def test_a_turn_of_what_a_rule_drops_is_a_turn() -> None:
    build = dealt(1).fault(PULL, "drop", message(1)).run(2, worker="worker2").run(3, until=PUSH)
    sentences = [s.sentence for s in tell(build.run(3, since=PULL).end()) if s.number == "3"]
    assert any("it is worker1's turn" in sentence for sentence in sentences)
    assert not any(
        "turn" in step.sentence
        for step in tell(dealt(1).fault(PULL, "drop", message(1)).run(2).end())
    ), "worker1 had its turn, though it never got it"


# --------------------------------------------------------------------------------- what is drawn


def losses(trace: Trace) -> dict[str, str]:
    scene = router_scene(trace, server="server")
    pills = [item for item in scene.items if isinstance(item, Pill) and item.role == "lost"]
    return {pill.id: pill.text for pill in pills}


@pytest.mark.parametrize(
    ("port", "until", "frames", "where"),
    [
        (PULL, PUSH, [message(1)], "WorkerPush"),
        ("client:sub", "server.Pub:listen_to", [b"client", message(1)], "Pub"),
        ("server.Pull:listen_to", "client:push", [message(1)], "Pull"),
        (
            "server.WorkerPush:broker",
            "server.router:outbound",
            [b"", message(1)],
            "row1",
        ),
        ("server.router:inbound", "server.Pull:broker", [b"Pull", b"", message(1)], "row1"),
    ],
)
def test_a_loss_stands_on_the_run_where_it_happened(
    port: str, until: str, frames: list[bytes], where: str
) -> None:
    build = Build().master().run(2)
    if until == "server.router:outbound":
        build.run(1, until="server.router:inbound")
        build.send("server.router:outbound", b"WorkerPush", b"", message(1))
    else:
        build.run(1, until=until)
    trace = dropped(port, *frames, build=build)
    shown = {id: text for id, text in losses(trace).items() if text}
    assert list(shown.values()) == ["1 lost"]
    assert where in next(iter(shown))


def test_what_is_doubled_counts_for_who_got_it_twice() -> None:
    seen = survey(doubled().end(), "server")
    assert {peer.id: peer.count for peer in seen.peers} == {"worker1": 2, "worker2": 0, "client": 2}
    (push,) = [
        wire
        for wire in seen.wires
        if (wire.part, wire.peer)[1:] == ("worker1",) and wire.part == "server.WorkerPush"
    ]
    assert (push.count, push.doubled) == (1, 1)
    assert seen.rows[0].count == 1
    assert seen.rows[1].count == 2


def test_a_film_shows_on_its_way_what_is_held_back() -> None:
    build = dealt(1).fault(PULL, "delay", message(1)).run(2, worker="worker2").run(1, since=PULL)
    trace = build.fault("worker1", "crash").end()
    steps = tell(trace, server="server", faults=False)
    film = pace(trace, steps, closing="")
    stage = Stage(router_scene(trace, server="server"), THEMES["light"], film)
    (delayed,) = [n for n, move in enumerate(film.moves) if move.step.held_back]
    way = stage.runs[delayed]
    x, y = point_at(way, length(way) * midway(stage.scene, way))
    move = film.moves[delayed]
    late = [m for m in film.moves if m.step.delayed][-1]
    assert late.begin > move.end
    for at, why in ((move.end - 1e-6, "it comes half-way"), (late.begin, "and stays there")):
        assert any(math.dist(mark[1:], (x, y)) < 2 for mark in stage.score(at)), why
    assert len(animate(trace)) > 10


# -------------------------------------------------------------------------------------- the table


def test_the_table_tells_what_faults_did() -> None:
    build = dealt(1, 2, 3).fault(PULL, "drop", message(1), why="r1")
    build.fault(PULL, "delay", message(2), why="r2").fault(PULL, "duplicate", message(3), why="r3")
    build.receive(PULL, message(3)).receive(PULL, message(3)).receive(PULL, message(2))
    build.fault("worker1", "crash", why="r4")
    for shown in (repr(build.trace), build.trace._repr_html_()):
        for note in ("(lost: r1)", "(held back: r2)", "(doubled: r3)", "(once more)"):
            assert f"worker1 {note}" in shown
        assert "(crash: r4)" in shown
    assert "worker1      (crash: r4)" in repr(build.trace), "nothing crosses a link"


def test_a_hop_is_the_same_with_and_without_faults() -> None:
    """Whatever is not a fault's is untouched by there being one elsewhere."""
    calm, struck = Build().master().run(1), Build().master().run(1)
    struck.run(2, until=PUSH).fault(PULL, "drop", message(2))
    keep = [hop for hop in struck.trace.hops if hop.message == f"{1:016x}"]
    assert keep == list(calm.trace.hops)
    assert all(isinstance(hop, Hop) for hop in keep)
