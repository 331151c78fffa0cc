"""Recorder: what is kept of each event, and one order for what several threads wrote."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from builder import Build, message
from hypothesis import given
from hypothesis import strategies as st

from pylm_lab.trace import Event, Recorder
from pylm_lab.trace.builder import columns_of
from pylm_lab.trace.hops.order import in_order


def one_link(**about: Any) -> Build:
    """`a` pushes to `b`."""
    return Build(**about).link("a:push", "b:pull")


def moves(build: Build) -> list[tuple[int, str, str]]:
    """Time, actor and what, of the hops."""
    return [(e.at, e.actor, e.what) for e in build.trace.events if e.kind]


# ----------------------------------------------------------------------------- what an event keeps


def test_a_message_is_known_by_its_stamp_and_its_fields() -> None:
    data = message(0xABC, parent=7, clock=3, payload=b"caf\xc3\xa9\xff", function="server.foo")
    trace = one_link().send("a:push", data).trace
    assert trace.events[-1] == Event(
        at=3,
        what="send",
        actor="a",
        port="a:push",
        kind="message",
        message="0000000000000abc",
        parent="0000000000000007",
        clock=3,
        function="server.foo",
        sizes=(len(data),),
        excerpt="café\\xff",
    )


def test_a_message_that_nobody_stamped_has_no_id() -> None:
    event = one_link().send("a:push", message()).trace.events[-1]
    assert (event.message, event.parent, event.clock) == ("", "", 0)
    assert event.excerpt == "a message"


def test_of_a_long_message_the_beginning_is_kept_and_all_that_matters() -> None:
    for size in (400, 470, 480, 500, 100_000):
        data = message(5, parent=4, clock=9, payload=b"x" * size)
        build = one_link().send("a:push", data)
        event = build.trace.events[-1]
        assert (event.message, event.parent, event.clock) == (f"{5:016x}", f"{4:016x}", 9), size
        assert event.sizes == (len(data),)
        assert event.excerpt == "x" * 64
        (kept,) = build.recorder._tapes["a"].copy().last
        assert len(kept) <= 550, "more is kept than is shown"


def test_a_list_that_is_used_again_does_not_change_the_record() -> None:
    build = Build().master()
    frames = [b"Pull", b"", message(1)]
    build.recorder.hop_received(build.ports["server.router:inbound"], frames, build.tick())
    frames[0], frames[2] = b"WorkerPush", b""
    build.recorder.hop_sent(build.ports["server.router:outbound"], frames, build.tick())
    frames.clear()
    received, sent = build.trace.events[-2:]
    assert (received.peer, received.message) == ("Pull", f"{1:016x}")
    assert (sent.peer, sent.message) == ("WorkerPush", "")


def test_envelopes_tell_the_peer_and_the_topic() -> None:
    trace = Build().master().run(1).end()
    told = {(e.what, e.port): (e.kind, e.peer, e.topic) for e in trace.events if e.kind}
    assert told["receive", "server.router:inbound"] == ("message", "WorkerPull", "")
    assert told["send", "server.router:outbound"] == ("message", "Pub", "")
    assert told["send", "server.Pull:broker"] == ("message", "", "")
    assert told["send", "server.Pub:listen_to"] == ("message", "", "client")
    assert told["receive", "client:sub"] == ("message", "", "client")


def test_credits_requests_answers_and_echoes_are_told_apart() -> None:
    build = Build().master()
    build.cross("server.WorkerPush:broker", "server.router:outbound", b"WorkerPush", b"", b"4")
    build.cross("client:db", "server.Cache:listen_to", message(9, function="server.get"))
    build.cross("server.Cache:listen_to", "client:db", b"a value")
    build.cross("server.Pub:listen_to", "client:sub", b"\xffready:client", b"")
    events = [e for e in build.trace.events if e.what == "receive"]
    assert [(e.kind, e.message, e.excerpt) for e in events] == [
        ("credit", "", "4"),
        ("request", f"{9:016x}", "a message"),
        ("answer", "", "a value"),
        ("ready", "", ""),
    ]
    assert events[3].topic == "\\xffready:client"


@pytest.mark.parametrize(
    ("port", "frames", "kind"),
    [
        ("server.Pull:listen_to", [message(1)], "message"),
        ("server.Pull:listen_to", [b"\xff no message"], "message"),
        ("server.Pull:broker", [b"", message(1)], "message"),
        ("server.Pull:broker", [b"", b"1"], "credit"),
        ("server.router:inbound", [b"Pull", b"", message(1)], "message"),
        ("server.router:inbound", [b"Pull", b"", b"12"], "credit"),
        ("server.router:outbound", [b"Pub", b"", message(1)], "message"),
        ("server.router:outbound", [b"Pub", b"", b"any feedback"], "credit"),
        ("server.Pub:listen_to", [b"client", message(1)], "message"),
        ("server.Pub:listen_to", [b"\xffready:client", b""], "ready"),
        ("server.Cache:listen_to", [message(1)], "request"),
        ("server.Cache:listen_to", [b"a value"], "answer"),
        ("client:db", [message(1)], "request"),
    ],
)
def test_what_is_given_up_is_what_it_was(port: str, frames: list[bytes], kind: str) -> None:
    event = Build().master().drop(port, *frames, cause="a rule").trace.events[-1]
    assert (event.kind, event.text) == (kind, "a rule")
    assert event.message == (f"{1:016x}" if frames[-1] == message(1) else "")


def test_what_was_just_received_is_given_up_as_that() -> None:
    build = Build().master()
    frames = [b"Nobody", b"", b"no stamp, no credit"]
    build.receive("server.router:inbound", *frames).drop("server.router:inbound", *frames)
    assert [e.kind for e in build.trace.events[-2:]] == ["message", "message"]


def test_errors_and_causes_are_kept_in_short() -> None:
    build = one_link()
    build.recorder.actor_failed("a", ValueError("no " * 1000), build.tick())
    build.drop("a:push", message(1), cause="because " * 1000)
    failed, dropped = build.trace.events[-2:]
    assert failed.text.startswith("ValueError: no no ")
    assert len(failed.text) == len(dropped.text) == 500


def test_wiring_and_subscriptions_are_events() -> None:
    build = Build()
    build.actor("p", "outbound").port("p:out", "XPUB", "inproc://p", binds=True, sends="message")
    build.actor("c", "client").port("c:sub", "SUB", "inproc://p", receives="message")
    recorder, sub, pub = build.recorder, build.ports["c:sub"], build.ports["p:out"]
    build.subscribe("c:sub", b"t\xff", "p:out")
    recorder.topic_unsubscribed(sub, b"t\xff", 5)
    recorder.subscription_seen(pub, b"t\xff", False, 6)
    recorder.port_disconnected(sub, "inproc://p", 7)
    assert [(e.what, e.port, e.text) for e in build.trace.events] == [
        ("bind", "p:out", "inproc://p"),
        ("connect", "c:sub", "inproc://p"),
        ("subscribe", "c:sub", "t\\xff"),
        ("seen", "p:out", "t\\xff"),
        ("unsubscribe", "c:sub", "t\\xff"),
        ("unseen", "p:out", "t\\xff"),
        ("disconnect", "c:sub", "inproc://p"),
    ]


def test_a_trace_may_be_asked_for_at_any_time_and_stays_what_it_was() -> None:
    build = one_link()
    before = build.trace
    assert build.trace is before
    build.send("a:push", message(1))
    assert len(build.trace.events) == len(before.events) + 1
    assert build.trace is build.trace
    build.actor("c", "worker")
    assert [actor.id for actor in build.trace.actors] == ["a", "b", "c"]
    assert len(before.actors) == 2


def test_what_a_recorder_was_told_of_the_run_goes_to_the_trace() -> None:
    trace = Recorder(schedule="seeded", seed=7, clock="step", scenario="parallel").trace
    assert (trace.schedule, trace.seed, trace.clock, trace.scenario) == (
        "seeded",
        7,
        "step",
        "parallel",
    )
    assert (trace.events, trace.actors, trace.ports, trace.routes) == ((), (), (), ())


# ------------------------------------------------------------------------------- one order for all


def test_steps_order_everything() -> None:
    build = one_link()
    build.receive("b:pull", message(1), at=9).send("a:push", message(1), at=8)
    assert moves(build) == [(8, "a", "send"), (9, "b", "receive")]


def test_a_step_is_believed_before_a_match() -> None:
    build = one_link()
    # The same bytes twice, the first of them lost: by counting, b's receive is a's first send.
    build.receive("b:pull", message(1), at=10).send("a:push", message(1), at=20)
    assert moves(build) == [(10, "b", "receive"), (20, "a", "send")]
    assert [(hop.sent is None, hop.received is None) for hop in build.trace.hops] == [
        (True, False),
        (False, True),
    ]


def test_time_counts_from_the_first_event() -> None:
    build = Build(clock="ns")
    build.step = 1_000_000
    build.link("a:push", "b:pull").send("a:push", message(1))
    assert [event.at for event in build.trace.events] == [0, 1, 2]


def test_a_send_comes_before_its_receive_though_the_clock_was_read_once_a_batch() -> None:
    build = one_link(clock="ns")
    for id, at in ((1, 110), (2, 120), (3, 130)):
        build.send("a:push", message(id), at=at)
    # b woke at 112, took three messages under that one reading, and slept.
    for id in (1, 2, 3):
        build.receive("b:pull", message(id), at=112)
    build.receive("b:pull", message(4), at=200)
    start = min(fact.at for tape in build.recorder._tapes.values() for fact in tape.copy().facts)
    assert [(at + start, actor, what) for at, actor, what in moves(build)] == [
        (110, "a", "send"),
        (112, "b", "receive"),
        (120, "a", "send"),
        (120, "b", "receive"),
        (130, "a", "send"),
        (130, "b", "receive"),
        (200, "b", "receive"),
    ]


def test_at_one_time_the_actor_that_was_declared_first_comes_first() -> None:
    build = Build(clock="ns")
    for name in ("c", "a", "b"):
        build.actor(name, "worker")
    for name in ("b", "a", "c"):
        build.recorder.actor_started(name, 5)
    assert [event.actor for event in build.trace.events] == ["c", "a", "b"]


def event(actor: str, at: int) -> Event:
    return Event(at=at, what="start", actor=actor)


def test_a_fault_acts_on_a_message_after_it_was_sent_though_the_clock_was_read_late() -> None:
    build = one_link(clock="ns").send("a:push", message(1), at=120)
    build.fault("b:pull", "duplicate", message(1), at=112)
    build.receive("b:pull", message(1), at=112).receive("b:pull", message(1), at=112)
    assert [(e.what, e.actor) for e in build.trace.events if e.kind] == [
        ("send", "a"),
        ("fault", "b"),
        ("receive", "b"),
        ("receive", "b"),
    ]
    assert len(build.trace.struck) == 1


def ordered(events: list[Event], causes: dict[int, int], actors: list[str]) -> list[Event]:
    """These events in order; `causes` are positions of arrivals → of their sends."""
    came_from = np.array([causes.get(n, -1) for n in range(len(events))], np.int32)
    return list(in_order(columns_of(events, actors), came_from))


def test_matches_that_contradict_the_actors_own_orders_are_not_believed() -> None:
    # Each actor's first event is said to be caused by the other's second.
    events = [event("a", 1), event("a", 2), event("b", 3), event("b", 4)]
    order = ordered(events, {0: 3, 2: 1}, ["a", "b"])
    assert [(e.actor, e.at) for e in order] == [("a", 1), ("a", 2), ("b", 3), ("b", 4)]
    # An event that waits for itself, or for one that its own actor comes to later.
    assert ordered(events[:2], {0: 0}, ["a"]) == events[:2]
    assert ordered(events[:2], {0: 1}, ["a"]) == events[:2]


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[list[Event]], dict[tuple[int, int], tuple[int, int]]]:
    """What some actors wrote, and which event caused which: (actor, position) → (actor, position).

    Times are in small numbers, so that many are equal and some contradict what caused what.
    """
    count = draw(st.integers(1, 4))
    lists = [
        [event(f"actor{n}", at) for at in sorted(draw(st.lists(st.integers(0, 6), max_size=8)))]
        for n in range(count)
    ]
    places = [(n, k) for n, own in enumerate(lists) for k in range(len(own))]
    pairs = st.tuples(st.sampled_from(places), st.sampled_from(places)) if places else st.nothing()
    causes = dict(draw(st.lists(pairs, max_size=6))) if places else {}
    return lists, causes


@given(runs(), st.randoms(use_true_random=False))
def test_the_order_depends_on_the_events_alone(
    run: tuple[list[list[Event]], dict[tuple[int, int], tuple[int, int]]], rng: random.Random
) -> None:
    """However the threads' lists are put together, as long as each keeps its own order."""
    lists, causes = run
    actors = [f"actor{n}" for n in range(len(lists) - 1)]  # the last was never declared
    orders = []
    for _ in range(3):
        turns = [n for n, own in enumerate(lists) for _ in own]
        rng.shuffle(turns)
        taken = [0] * len(lists)
        at: dict[tuple[int, int], int] = {}
        mixed = []
        for position, n in enumerate(turns):
            at[n, taken[n]] = position
            mixed.append(lists[n][taken[n]])
            taken[n] += 1
        orders.append(ordered(mixed, {at[a]: at[b] for a, b in causes.items()}, actors))
    assert orders[0] == orders[1] == orders[2]
    assert [e.at for e in orders[0]] == sorted(e.at for e in orders[0])
    for n, own in enumerate(lists):
        assert len([e for e in orders[0] if e.actor == f"actor{n}"]) == len(own)


@given(st.data())
def test_a_free_run_is_put_in_order(data: st.DataObject) -> None:
    """Actors pass messages on; each thread's clock is read once a batch, so it is often behind."""
    names = ["a", "b", "c"]
    build = Build(clock="ns")
    for name in names:
        build.actor(name, "worker")
        build.port(f"{name}:in", "PULL", f"inproc://{name}", binds=True, receives="message")
    for source in names:
        for target in names:
            if source != target:
                port = f"{source}:{target}"
                build.port(port, "PUSH", f"inproc://{target}", sends="message")
    inbox: dict[str, list[int]] = defaultdict(list)
    clock = dict.fromkeys(names, 0)
    truth: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for step in range(data.draw(st.integers(0, 25))):
        name = data.draw(st.sampled_from(names))
        if data.draw(st.booleans()):
            clock[name] = step + 100  # a new batch: the thread reads the clock
        takes = data.draw(st.booleans())
        if takes and inbox[name]:
            id = inbox[name].pop(0)
            build.receive(f"{name}:in", message(id), at=clock[name])
            truth[name].append(("receive", f"{id:016x}"))
        else:
            target = data.draw(st.sampled_from([other for other in names if other != name]))
            build.send(f"{name}:{target}", message(step + 1), at=clock[name])
            inbox[target].append(step + 1)
            truth[name].append(("send", f"{step + 1:016x}"))
    trace = build.trace
    for name in names:
        assert [(e.what, e.message) for e in trace.events if e.actor == name and e.kind] == truth[
            name
        ]
    seen: set[str] = set()
    for e in trace.events:
        assert e.what != "receive" or e.message in seen
        if e.what == "send":
            seen.add(e.message)
    assert [e.at for e in trace.events] == sorted(e.at for e in trace.events)
    assert all(hop.sent is not None for hop in trace.hops)


def test_threads_record_without_losing_anything() -> None:
    build = Build(clock="ns")
    count, threads = 2000, 4
    for n in range(threads):
        build.link(f"s{n}:push", f"r{n}:pull")
    together = threading.Barrier(2 * threads + 1)

    def work(tell: Any, port: str, base: int) -> None:
        together.wait(timeout=10)
        for k in range(count):
            tell(build.ports[port], [message(base + k)], k)

    workers = [
        threading.Thread(target=work, args=(tell, port, 1 + n * count))
        for n in range(threads)
        for tell, port in (
            (build.recorder.hop_sent, f"s{n}:push"),
            (build.recorder.hop_received, f"r{n}:pull"),
        )
    ]
    for worker in workers:
        worker.start()
    together.wait(timeout=10)
    _ = build.trace  # in the middle of it
    for worker in workers:
        worker.join(timeout=30)
    hops = build.trace.hops
    assert len(hops) == threads * count
    assert all(hop.sent is not None and hop.received is not None for hop in hops)
