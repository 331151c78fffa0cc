"""The story: what each step says, and what it knows of the moment. Sentences are whole literals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable

import pytest
from builder import Build, message, steps_of

import pylm_lab
from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.moment import counters, length, run_of, wires_under
from pylm_lab.draw.scene import Pill, Text
from pylm_lab.draw.story import EVERY, Pile, Step, first_server, tell
from pylm_lab.hook import Kind, Route
from pylm_lab.trace import Trace


def sentences(trace: Trace, *kinds: Kind) -> list[str]:
    return [step.sentence for step in tell(trace, kinds=kinds or ("message",))]


def busy(step: Step) -> dict[str, str]:
    """Who is doing something, by label."""
    return {actor.partition(".")[2] or actor: s for actor, s in step.status.items() if s != "idle"}


def into_router(build: Build, n: int) -> Build:
    """Message `n` from the client to the router, by way of Pull."""
    build.run(n, until="server.Pull:broker")
    return build.receive("server.router:inbound", b"Pull", b"", message(n))


def piles(where: Iterable[tuple[str, Pile]]) -> dict[str, tuple[str, ...]]:
    return {actor.partition(".")[2] or actor: pile.first for actor, pile in where}


# ---------------------------------------------------------------------------------- the whole way


def test_a_message_is_told_on_its_whole_way() -> None:
    assert sentences(Build().master().run(1, worker="worker2").end()) == [
        "client sends message 1 to Pull.",
        "Pull hands message 1 to the router.",
        "The router reads row 1 and hands message 1 to WorkerPush.",
        "WorkerPush gives message 1 to worker2: PUSH deals in rounds, and it is worker2's turn.",
        "worker2 works on message 1 and hands it back: WorkerPull takes message 1 from worker2.",
        "WorkerPull hands message 1 to the router.",
        "The router reads row 2 and hands message 1 to Pub.",
        "Pub publishes message 1 under its client's id; only that client has subscribed to it.",
    ]


def test_a_step_says_which_hop_it_is_and_what_decided() -> None:
    trace = Build().master().run(1).end()
    steps = tell(trace)
    assert [step.title for step in steps][1:4] == [
        "1: Pull → router",
        "1: router → WorkerPush",
        "1: WorkerPush → worker1",
    ]
    assert [step.index for step in steps] == list(range(8))
    assert [step.previous for step in steps] == [None, 0, 1, 2, 3, 4, 5, 6]
    told = [trace.hops[step.hop] for step in steps if step.hop is not None]
    assert [hop.link for hop in told] == [step.link for step in steps]
    assert [step.row for step in steps if step.row_number] == [
        ("server.Pull", "server.WorkerPush"),
        ("server.WorkerPull", "server.Pub"),
    ]


def test_only_the_kinds_that_were_asked_for_are_told() -> None:
    build = Build().master(workers=1)
    build.cross("client:db", "server.Cache:listen_to", message(9, payload=b"name"))
    build.cross("server.Cache:listen_to", "client:db", b"server").run(1)
    trace = build.end()
    assert {step.kind for step in tell(trace)} == {"message"}
    assert [step.kind for step in tell(trace, kinds=("request", "answer"))] == ["request", "answer"]
    assert len(tell(trace, kinds=EVERY)) == len(trace.hops)


# ------------------------------------------------------------------------------------- the moment


def interleaved() -> Trace:
    """Three messages: the first is being worked on, the second is in Pull, the third before it."""
    build = Build().master().run(1, until="worker1:pull")
    build.run(2, until="server.Pull:listen_to").run(3, until="client:push")
    return build.run(1, since="worker1:push").trace


def test_the_moment_says_what_everybody_does() -> None:
    steps = tell(interleaved())
    third = next(step for step in steps if step.number == "3")
    assert busy(third) == {
        "Pull": "holds message 2",
        "worker1": "works on 1",
        "client": "waits for answers",
    }
    back = next(step for step in steps if step.source == "worker1")
    assert busy(back) == {
        "Pull": "holds message 2",
        "WorkerPull": "next: message 1",
        "client": "waits for answers",
    }


def test_what_waits_is_told_while_others_move() -> None:
    build = Build().master().run(1, until="worker1:pull").run(2, until="client:push")
    back = tell(build.run(1, since="worker1:push", until="server.WorkerPull:listen_to").trace)[-1]
    assert busy(back) == {
        "Pull": "next: message 2",
        "WorkerPull": "next: message 1",
        "client": "waits for answers",
    }


def test_a_message_that_goes_nowhere_is_held_until_its_holder_turns_to_another() -> None:
    build = Build().master().run(1, until="server.WorkerPull:listen_to")
    build.run(2, until="server.Pull:listen_to")
    assert piles(tell(build.run(3, until="client:push").trace)[-1].held.items()) == {
        "WorkerPull": ("1",),
        "Pull": ("2",),
    }
    after = build.run(4, worker="worker2", since="worker2:push").trace
    assert piles(tell(after)[-1].held.items()) == {"Pull": ("2",)}


def test_a_message_is_held_until_the_last_one_is_made_of_it() -> None:
    build = Build().master(workers=1).run(1, until="server.Pull:listen_to")
    for child in (2, 3):
        made = message(child, parent=1)
        build.run(child, since="server.Pull:broker", until="worker1:pull", data=made)
    held = [piles(step.held.items()).get("Pull") for step in tell(build.trace)]
    # The client's hop, then those of 1.1 until it is with the worker, then those of 1.2.
    assert held == [None, ("1",), ("1",), ("1",), None, None, None]


def test_the_moment_says_where_messages_rest() -> None:
    back = next(step for step in tell(interleaved()) if step.source == "worker1")
    assert piles(back.held.items()) == {"Pull": ("2",)}
    assert piles(back.waiting.items()) == {"Pull": ("3",)}


def test_a_pile_names_three_and_counts_all() -> None:
    build = Build().master()
    for n in range(1, 7):
        build.run(n, until="client:push")
    last = tell(build.trace)[-1]
    assert last.waiting == {"server.Pull": Pile(("1", "2", "3"), 5)}
    assert last.status["server.Pull"] == "next: message 1"


def test_what_is_next_is_what_is_taken_next() -> None:
    """The router has two sockets: what waits longest in one is not what it takes first."""
    build = Build().master().run(1, until="worker1:push").run(2, until="server.Pull:broker")
    build.run(1, since="server.WorkerPull:listen_to", until="server.WorkerPull:broker")
    build.receive("server.router:inbound", b"WorkerPull", b"", message(1))
    build.receive("server.router:inbound", b"Pull", b"", message(2))
    handed = next(step for step in tell(build.trace) if step.source == "server.WorkerPull")
    assert handed.status["server.router"] == "next: message 1"


def test_the_counts_are_those_of_the_moment() -> None:
    trace = Build().master().run(1).run(2, worker="worker2").end()
    steps = tell(trace)
    assert steps[0].counts == {}
    counts = steps[12].counts  # message 2 on its way back
    assert counts["client", "server.Pull"] == 2
    assert counts["server.Pull", "server.WorkerPush"] == 2
    assert counts["server.WorkerPull", "server.Pub"] == 1
    assert counts["worker1", ""] == counts["worker2", ""] == counts["client", ""] == 1
    total: dict[tuple[str, str], int] = {}
    for step in steps:
        for key in step.adds:
            total[key] = total.get(key, 0) + 1
    assert total["client", ""] == 2
    assert total["server.WorkerPull", "server.Pub"] == 2


def test_an_actor_that_has_not_started_or_has_stopped_says_so() -> None:
    build = Build().master(workers=1).run(1, until="worker1:pull")
    build.hook.actor_failed("worker1", ValueError("no"), build.tick())
    build.hook.actor_stopped("worker1", build.tick())
    build.run(2, until="client:push")
    assert tell(build.trace)[-1].status["worker1"] == "failed"


# ---------------------------------------------------------------------------------------- reasons


def test_turns_are_only_told_where_there_are_any() -> None:
    trace = Build().master(workers=1).run(1).end()
    assert "WorkerPush gives message 1 to worker1." in sentences(trace)


def test_a_turn_is_only_told_if_it_was_one() -> None:
    trace = Build().master().run(1).run(2, worker="worker1").run(3, worker="worker2").end()
    dealt = [s for s in sentences(trace) if s.startswith("WorkerPush")]
    assert dealt == [
        "WorkerPush gives message 1 to worker1: PUSH deals in rounds, and it is worker1's turn.",
        "WorkerPush gives message 2 to worker1.",
        "WorkerPush gives message 3 to worker2: PUSH deals in rounds, and it is worker2's turn.",
    ]


def test_who_has_left_has_no_turn() -> None:
    build = Build().master().run(1).run(2, worker="worker2")
    port = build.ports["worker2:pull"]
    build.hook.port_disconnected(port, "inproc://WorkerPush", build.tick())
    assert "WorkerPush gives message 3 to worker1." in sentences(build.run(3).end())


def test_a_publication_tells_who_has_subscribed() -> None:
    build = Build().master(clients=2).subscribe("other:sub", b"client")
    both = build.run(1).receive("other:sub", b"client", message(1)).end()
    assert [s for s in sentences(both) if s.startswith("Pub")] == [
        "Pub publishes message 1 under the topic client;"
        " client is one of 2 that have subscribed to it.",
        "Pub publishes message 1 under the topic client;"
        " other is one of 2 that have subscribed to it.",
    ]
    other = Build().master(clients=2).run(1, until="server.Pub:broker")
    trace = other.cross("server.Pub:listen_to", "other:sub", b"other", message(1)).end()
    assert sentences(trace)[-1] == (
        "Pub publishes message 1 under the topic other; only other has subscribed to it."
    )


def test_a_publication_without_a_subscriber_is_told() -> None:
    build = Build().master().run(1, until="server.Pub:broker")
    trace = build.send("server.Pub:listen_to", b"nobody", message(1)).trace
    assert sentences(trace)[-1] == (
        "Pub publishes message 1 under the topic nobody; nobody has subscribed to it."
    )


def test_a_hop_that_no_row_declares_is_told() -> None:
    build = into_router(Build().master(), 1)
    build.cross("server.router:outbound", "server.Pub:broker", b"Pub", b"", message(1))
    step = tell(build.trace)[-1]
    assert step.sentence == "The router hands message 1 to Pub; no declared row says so."
    assert (step.row, step.row_number) == (None, 0)


def test_feedback_that_is_waited_for_or_goes_on_is_told() -> None:
    build = Build().master()
    ends = {"server": "server", "source": "server.Pull", "target": "server.Pub"}
    build.hook.route_declared(Route(number=3, feedback="waits", **ends))
    ends["source"] = "server.WorkerPush"
    build.hook.route_declared(Route(number=4, feedback="on", **ends))
    into_router(build, 1).cross("server.router:outbound", "server.Pub:broker", message(1))
    build.run(2, until="server.WorkerPush:broker")
    build.send("server.WorkerPush:broker", b"", message(2))
    build.receive("server.router:outbound", b"WorkerPush", b"", message(2))
    build.cross("server.router:outbound", "server.Pub:broker", message(2))
    told = [s for s in sentences(build.trace) if "row" in s]
    assert told == [
        "The router reads row 3 and hands message 1 to Pub; Pull waits for the feedback.",
        "The router reads row 1 and hands message 2 to WorkerPush.",
        "The router reads row 4 and sends the feedback of message 2 on to Pub.",
    ]


def test_messages_made_of_another_are_told() -> None:
    build = Build().master(workers=1).run(1, until="server.Pull:listen_to")
    for child in (2, 3):
        made = message(child, parent=1)
        build.run(child, since="server.Pull:broker", until="worker1:pull", data=made)
    for child in (4, 5):
        made = message(child, parent=2)
        build.run(child, since="worker1:push", until="server.WorkerPull:listen_to", data=made)
    told = sentences(build.trace)
    assert told[1] == "Pull makes message 1.1 out of message 1 and hands it to the router."
    assert told[4] == "Pull makes message 1.2 out of message 1 and hands it to the router."
    assert told[-1] == (
        "worker1 makes message 1.1.2 out of message 1.1 and hands it back:"
        " WorkerPull takes message 1.1.2 from worker1."
    )
    steps = tell(build.trace)
    assert [steps[n].previous for n in (1, 4)] == [0, 0]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_blocking_part_stops_the_whole_server_or_only_itself(goes_on: bool) -> None:
    build = Build()
    build.actor("server.router", "router", server="server")
    build.port(
        "server.router:outbound",
        "ROUTER",
        "inproc://o",
        binds=True,
        outer=False,
        sends="message",
        receives="credit",
    )
    build.actor("server.HttpConnection", "outbound", server="server", blocks=True)
    build.port("server.HttpConnection:out", "HTTP", "http://x", sends="message")
    build.port(
        "server.HttpConnection:broker",
        "DEALER",
        "inproc://o",
        outer=False,
        sends="credit",
        receives="message",
    )
    build.actor("web", "worker").port("web:in", "HTTP", "http://x", binds=True, receives="message")
    build.send("server.HttpConnection:out", message(1)).receive("web:in", message(1))
    if goes_on:
        build.send("server.router:outbound", b"HttpConnection", b"", message(2))
    build.send("server.HttpConnection:broker", b"", b"1")
    who = "" if goes_on else "The whole server waits: "
    assert sentences(build.trace)[0] == (
        "HttpConnection gives message 1 to web over HTTP."
        f" {who}HttpConnection blocks until web answers."
    )


# ----------------------------------------------------------------------------------------- losses


def test_a_loss_names_its_cause_and_where_it_was() -> None:
    one = Build().master(workers=1).run(1, until="server.WorkerPush:broker")
    one.drop("server.WorkerPush:listen_to", message(1), cause="a rule drops the third one")
    step = tell(one.trace)[-1]
    assert step.sentence == (
        "Message 1 is lost between WorkerPush and worker1: a rule drops the third one."
    )
    assert (step.lost, step.arrives, step.title) == (True, False, "1: WorkerPush → lost")
    two = Build().master().run(1, until="server.WorkerPush:broker")
    two.drop("server.WorkerPush:listen_to", message(1), cause="a rule.")
    assert sentences(two.trace)[-1] == (
        "Message 1 is lost between WorkerPush and the workers: a rule."
    )


def test_what_the_end_overtakes_is_lost() -> None:
    trace = Build().master().run(1, until="server.WorkerPush:listen_to").end()
    assert sentences(trace)[-1] == (
        "Message 1 is lost between WorkerPush and the workers: everybody stops before it is taken."
    )


def test_what_is_still_on_its_way_is_not_lost() -> None:
    step = tell(Build().master().run(1, until="server.WorkerPush:listen_to").trace)[-1]
    assert step.sentence == (
        "WorkerPush sends message 1 off to one of its 2 peers;"
        " nobody has taken it when the record ends."
    )
    assert (step.lost, step.arrives, step.title) == (False, False, "1: WorkerPush → ?")
    known = tell(Build().master().run(1, until="client:push").trace)[-1]
    assert known.sentence == (
        "client sends message 1 to Pull. It has not arrived when the record ends."
    )


def test_what_the_receiver_gives_up_is_told() -> None:
    build = Build().master().run(1, until="worker1:pull")
    build.drop("worker1:pull", message(1), cause="it is no PALM message")
    build.run(2, until="client:push")
    steps = tell(build.trace)
    assert steps[3].sentence.endswith(" worker1 gives it up: it is no PALM message.")
    assert not steps[4].held.get("worker1")


# ---------------------------------------------------------------------------------------- credits


def credit(build: Build, name: str, *values: bytes, handed: int) -> list[str]:
    """A part that handed over messages is acknowledged by these credits."""
    for n in range(handed):
        into_router(build, n + 1)
    for value in values:
        build.send("server.router:inbound", name.encode(), b"", value)
        build.receive("server.Pull:broker", b"", value)
    return sentences(build.trace, "credit")


def test_a_credit_says_how_many_it_acknowledges() -> None:
    """Credits of one server are numbers of messages, each since the one before."""
    assert credit(Build().master(), "Pull", b"3", b"5", handed=8) == [
        "The router acknowledges 3 messages to Pull, which may hand over as many more.",
        "The router acknowledges 5 messages to Pull, which may hand over as many more.",
    ]


@pytest.mark.parametrize("values", [(b"1", b"1"), (b"7", b"8"), (b"2", b"2"), (b"ok", b"no")])
def test_an_answer_of_somebody_else_acknowledges_one(values: tuple[bytes, ...]) -> None:
    """Also where it looks like a number, but acknowledges more than there was."""
    told = credit(Build().master(), "Pull", *values, handed=3)
    assert (
        told == ["The router acknowledges a message to Pull, which may hand over as many more."] * 2
    )


def lockstep(messages: int, *, window: int = 1, late: bool = False) -> Build:
    """Pull takes a message only when `window` are not too many; all are sent at the beginning."""
    build = Build().master(workers=1)
    for n in range(1, messages + 1):
        build.run(n, until="client:push")
    given = 0
    for n in range(1, messages + 1):
        build.receive("server.Pull:listen_to", message(n)).send(
            "server.Pull:broker", b"", message(n)
        )
        build.receive("server.router:inbound", b"Pull", b"", message(n))
        if n - given == window:
            if late and n == window:
                build.receive("server.Pull:listen_to", message(n + 1))
                build.send("server.Pull:broker", b"", message(n + 1))
            build.send("server.router:inbound", b"Pull", b"", str(window).encode())
            build.receive("server.Pull:broker", b"", str(window).encode())
            given = n
    return build


def test_a_part_out_of_credit_waits_and_says_why() -> None:
    steps = tell(lockstep(6, window=2).trace)
    handed = [step for step in steps if step.source == "server.Pull"]
    assert [step.status["server.Pull"] for step in handed][:3] == [
        "next: message 2",
        "waits for ack",
        "next: message 4",
    ]
    assert handed[1].sentence == (
        "Pull hands message 2 to the router."
        " Pull may not take more: 2 of its messages are not acknowledged yet."
    )
    assert handed[5].sentence == "Pull hands message 6 to the router."
    alone = [step for step in tell(lockstep(4).trace) if step.source == "server.Pull"]
    assert alone[0].sentence.endswith(
        " Pull may not take more: 1 of its messages is not acknowledged yet."
    )


def test_nobody_is_said_to_wait_without_proof() -> None:
    """A credit that comes next is no window, if nothing lay waiting, or more was taken once."""
    for trace in (lockstep(1).trace, lockstep(2).trace, lockstep(7, window=3, late=True).trace):
        assert not any("may not take more" in s for s in sentences(trace))
        assert all(step.status["server.Pull"] != "waits for ack" for step in tell(trace))


# ---------------------------------------------------------------------------------- other hops


def test_questions_and_answers_are_told() -> None:
    build = Build().master(workers=1)
    for n, (verb, payload, answer) in enumerate(
        [("get", b"name", b"server"), ("set", b"12", b"key"), ("delete", b"key", b"")]
    ):
        ask = message(n + 1, function=f"server.{verb}", payload=payload)
        build.cross("worker1:db", "server.Cache:listen_to", ask)
        build.cross("server.Cache:listen_to", "worker1:db", answer)
    trace = build.end()
    assert sentences(trace, "request", "answer") == [
        "worker1 asks Cache for name (request r1).",
        "Cache answers worker1: server.",
        "worker1 asks Cache to keep a value (request r2).",
        "Cache answers worker1: key.",
        "worker1 asks Cache to forget key (request r3).",
        "Cache answers worker1: nothing.",
    ]
    first = tell(trace, kinds=("request", "answer"))
    assert busy(first[0]) == {"Cache": "next: request r1", "worker1": "waits for Cache"}
    assert busy(first[1]) == {"worker1": "waits for Cache"}


def test_an_echo_is_told() -> None:
    build = Build().master()
    build.cross("server.Pub:listen_to", "client:sub", b"\xffready:client", b"")
    assert sentences(build.trace, "ready") == [
        "Pub tells client that its subscription has arrived:"
        " nothing published from now on can miss it."
    ]


def test_what_outbound_parts_acknowledge_is_told() -> None:
    build = Build().master().run(1, until="server.WorkerPush:broker")
    build.send("server.WorkerPush:broker", b"", b"1")
    build.receive("server.router:outbound", b"WorkerPush", b"", b"1")
    assert sentences(build.trace, "credit") == [
        "WorkerPush tells the router that it is done with a message."
    ]


# ------------------------------------------------------------------------------------- any trace


def test_a_record_without_a_server_is_told() -> None:
    build = Build().link("a:out", "b:in").cross("a:out", "b:in", message(1))
    trace = build.receive("b:in", message(2)).cross("a:out", "b:in", message(0)).trace
    assert first_server(trace) is None
    assert sentences(trace) == [
        "a works on message 1 and hands it back: b takes message 1 from a.",
        "b takes message 2; the record does not show who sent it.",
        "a works on a message and hands it back: b takes a message from a.",
    ]


def test_an_empty_record_has_no_steps() -> None:
    assert tell(Trace()) == ()


def test_several_servers_are_told_apart() -> None:
    build = Build().master(workers=1)
    build.actor("second.router", "router", server="second", label="router")
    build.actor("second.Pull", "inbound", server="second", label="Pull")
    build.port(
        "second.router:inbound",
        "ROUTER",
        "inproc://s",
        binds=True,
        outer=False,
        sends="credit",
        receives="message",
    )
    build.port(
        "second.Pull:broker",
        "DEALER",
        "inproc://s",
        outer=False,
        sends="message",
        receives="credit",
    )
    into_router(build, 1)
    build.send("second.Pull:broker", b"", message(2))
    build.receive("second.router:inbound", b"Pull", b"", message(2))
    trace = build.trace
    assert first_server(trace) == "server"
    assert sentences(trace)[1:] == [
        "server.Pull hands message 1 to the router of server.",
        "second.Pull hands message 2 to the router of second.",
    ]
    assert [step.number for step in tell(trace, server="second")] == ["2"]
    assert tell(trace, server="second")[0].counts == {}


def test_names_and_texts_of_the_run_stay_on_one_line() -> None:
    build = Build().master(workers=1)
    ask = message(1, function="server.get", payload="a\n\x07\u202eb".encode())
    build.cross("worker1:db", "server.Cache:listen_to", ask)
    told = sentences(build.trace, "request")[0]
    assert told.isprintable()
    assert "\\u202e" in told


def burst(count: int) -> Trace:
    """So many messages at once, and then as many one by one."""
    build = Build().master()
    for n in range(1, count + 1):
        build.run(n, until="client:push")
    for n in range(1, count + 1):
        build.run(n, since="server.Pull:listen_to", worker=f"worker{2 - n % 2}")
        build.run(1000 + n, worker=f"worker{2 - n % 2}")
    return build.end()


def test_twice_the_hops_take_twice_the_work() -> None:
    few, many = burst(20), burst(40)
    assert [len(trace.hops) for trace in (few, many)] == [320, 640]
    work = [steps_of(tell, trace) for trace in (few, many)]
    assert work[1] < 2.5 * work[0]


def test_ten_thousand_hops_share_what_does_not_change() -> None:
    """In room: a burst of messages is a long pile at every step of it."""
    steps = tell(burst(625))
    assert len(steps) == 10_000
    assert max(pile.size for pile in steps[624].waiting.values()) == 624
    shared = {id(step.waiting) for step in steps}
    assert len(shared) < 2 * len(steps)


def test_the_story_is_the_same_whatever_the_hash_seed() -> None:
    code = (
        "from builder import Build; from pylm_lab.draw.story import EVERY, tell\n"
        "b = Build().master().run(1).run(2, worker='worker2', until='worker2:pull')\n"
        "import sys; text = '\\n'.join(map(str, tell(b.end(), kinds=EVERY)))\n"
        "sys.stdout.buffer.write(text.encode())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(told) == 1
    assert b"hands message 1 to Pub" in told.pop()


# ------------------------------------------------------------------------------------- real runs


@pytest.mark.parametrize("name", list(pylm_lab.scenarios))
def test_the_story_of_a_real_run_adds_up_to_its_picture(name: str) -> None:
    """Every scenario: each hop is told, by a declared row, and the counts end as the scene's."""
    scenario = pylm_lab.scenarios[name]
    trace = scenario.run(seed=None if scenario.free_only else 1)
    server = first_server(trace)
    steps, scene = tell(trace, kinds=EVERY, server=server), router_scene(trace)
    inside = {actor.id for actor in trace.actors if actor.server == server}
    touching = [n for n, hop in enumerate(trace.hops) if inside & {hop.source, hop.target}]
    assert [step.hop for step in steps] == touching
    assert not any("no declared row" in step.sentence for step in steps)
    assert all(step.arrives for step in steps)
    assert not {"", "failed"} & {status for step in steps for status in step.status.values()}
    ends = {item.id: item.text for item in scene.items if isinstance(item, Pill | Text)}
    total = dict.fromkeys(scene.counts.values(), 0)
    keys = counters(scene)
    for key in (key for step in steps for key in step.adds):
        if key in keys:
            total[keys[key]] += 1
    assert {item: f"{n:,}" for item, n in total.items()} == {item: ends[item] for item in total}


def test_every_hop_of_a_real_run_has_its_way_in_the_picture() -> None:
    trace = pylm_lab.scenarios["parallel"].run(seed=1)
    scene = router_scene(trace)
    for step in tell(trace, kinds=EVERY):
        run = run_of(scene, step)
        assert length(run) > 15, step.title
        assert wires_under(scene, run), step.title


def test_a_hop_takes_the_way_of_the_row_that_decided() -> None:
    build = Build().master()
    row = Route(server="server", number=3, source="server.Pull", target="server.Pub")
    build.hook.route_declared(row)
    into_router(build, 1).cross("server.router:outbound", "server.Pub:broker", b"", message(1))
    step, scene = tell(build.trace)[-1], router_scene(build.trace)
    assert step.row_number == 3
    assert run_of(scene, step) == scene.row_runs["server.Pull", "server.Pub"]
    assert run_of(scene, step) != scene.runs["server.router", "server.Pub"]
