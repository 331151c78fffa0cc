"""What each kind of fault does to a message: when it comes, how often, and with what in it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from planted import SEEDS, N, came, events, named, ran
from processes import within

import pylm_lab as lab
from pylm_lab import faults, wire
from pylm_lab.errors import Deadlock, NoAnswer, WiringError
from pylm_lab.faults import Fault
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.scenarios import Greeter

# ------------------------------------------------------------------------------- late, or overtaken


def test_a_delay_takes_no_real_time_in_a_controlled_run_and_comes_in_the_order_of_the_clock() -> (
    None
):
    with within(5, "an hour"):
        late = faults.delay("worker1→WorkerPull", by=3600)
        trace, answers, error = ran(late, timeout=7200)
        assert (sorted(answers), error) == (N, None)
        assert answers[-1] == b"1"
        _, answers, error = ran(late, timeout=3599)
        assert answers == N[1:]
        assert isinstance(error, NoAnswer)
        assert error.missing == (1,)
        two = [faults.delay("client→Pull", nth=n, by=by) for n, by in ((1, 9), (2, 5), (4, 7))]
        trace, _, _ = ran(*two)
        assert came(trace, "server.Pull") == ["3", "5", "6", "2", "4", "1"]
    assert trace.check()[0].name == "order"


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_a_delay_in_a_free_run_takes_as_long_as_it_says_and_others_go_on(transport: str) -> None:
    trace, answers, error = ran(
        faults.delay("WorkerPush→worker1", nth=2, by=0.2), seed=None, transport=transport
    )
    (struck,) = [event for event in trace.events if event.what == "fault"]
    (arrived,) = [e for e in events(trace, "receive", "worker1") if e.message == struck.message]
    assert arrived.at - struck.at >= 0.19e9
    assert came(trace, "worker1") == ["1", "3", "4", "5", "6", "2"]
    assert (sorted(answers), error, named(trace)) == (N, None, [])


@pytest.mark.parametrize("seed", [None, *SEEDS])
@pytest.mark.parametrize(("link", "actor"), [("client→Pull", "Pull"), ("Pub→client", "client")])
def test_the_next_one_overtakes_and_no_other(link: str, actor: str, seed: int | None) -> None:
    trace, answers, error = ran(faults.reorder(link, nth=2, by=50), seed=seed)
    actor = actor if actor == "client" else f"server.{actor}"
    assert came(trace, actor) == ["1", "3", "2", "4", "5", "6"]
    assert (sorted(answers), error, named(trace)) == (N, None, [])
    assert len(named(trace, "order")) == 1
    assert "3 overtook message 2" in named(trace, "order")[0]


@pytest.mark.parametrize("seed", [None, 1])
def test_who_is_overtaken_by_nobody_is_late(seed: int | None) -> None:
    trace, answers, error = ran(faults.reorder("client→Pull", nth=6, by=0.1), seed=seed)
    assert came(trace, "server.Pull") == ["1", "2", "3", "4", "5", "6"]
    assert (answers, error, trace.check()) == (N, None, [])
    if seed is None:
        (struck,) = [event for event in trace.events if event.what == "fault"]
        assert events(trace, "receive", "server.Pull")[-1].at - struck.at >= 0.09e9


def test_only_the_next_of_the_same_sender_overtakes() -> None:
    fault = faults.reorder("worker1→WorkerPull", nth=1, by=50)
    trace, _, error = ran(fault, workers=2)
    of_one = [e.message for e in events(trace, "send", "worker1")]
    both = [e.message for e in events(trace, "receive", "server.WorkerPull")]
    assert error is None
    assert [m for m in both if m in of_one] == [of_one[1], of_one[0], *of_one[2:]]
    assert both.index(of_one[0]) == both.index(of_one[1]) + 1


# -------------------------------------------------------------------------------- twice, or changed


@pytest.mark.parametrize("seed", [None, *SEEDS])
def test_what_is_doubled_was_sent_once_and_comes_twice(seed: int | None) -> None:
    twice = faults.duplicate("WorkerPush→worker1", nth=2)
    trace, answers, error = ran(twice, seed=seed, more=1)
    sent = [trace.numbers[event.message] for event in events(trace, "send", "server.WorkerPush")]
    assert (sent, error) == (["1", "2", "3", "4", "5", "6"], None)
    assert Counter(came(trace, "worker1")) == Counter([*sent, "2"])
    # The worker answers both.
    out = [trace.numbers[event.message] for event in events(trace, "send", "worker1")]
    assert [number.partition(".")[0] for number in out] == came(trace, "worker1")
    assert len(answers) == 7
    both = [e for e in events(trace, "receive", "worker1") if trace.numbers[e.message] == "2"]
    assert (both[0].clock, both[0].sizes) == (both[1].clock, both[1].sizes)
    assert "Message 2 reached worker1 twice, though WorkerPush sent it once" in named(trace)[0]


class Frames(lab.Hook):
    """Keeps what one port has sent and another received."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.received: list[bytes] = []

    def hop_sent(self, port: Any, frames: list[bytes], at: int) -> None:
        if port.id == "server.WorkerPush:listen_to":
            self.sent.append(frames[-1])

    def hop_received(self, port: Any, frames: list[bytes], at: int) -> None:
        if port.id == "worker1:pull":
            self.received.append(frames[-1])


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("field", wire.FIELDS)
def test_exactly_the_field_is_changed_of_exactly_that_message(field: str, seed: int | None) -> None:
    value: Any = 3 if field == "stage" else "other"
    heard = Frames()
    change = faults.corrupt("WorkerPush→worker1", field, value, nth=2)
    trace, _, _ = ran(change, hook=heard, seed=seed, timeout=1 if seed else 0.5)
    assert len(heard.sent) == len(heard.received) == 6
    for n, (sent, received) in enumerate(zip(heard.sent, heard.received, strict=True)):
        wanted = PalmMessage.FromString(sent)
        if n == 1:
            setattr(wanted, field, value.encode() if field == "payload" else value)
        assert PalmMessage.FromString(received) == wanted
        assert wire.read_stamp(received) == wire.read_stamp(sent) is not None
        assert n == 1 or received == sent
    assert named(trace) == []


@pytest.mark.parametrize(
    "link", ["WorkerPush→router", "router→Pull", "client→Cache", "Cache→client", "*→*"]
)
def test_what_is_no_message_is_no_matter_for_a_part(link: str) -> None:
    """A bad message is that message's trouble: no part of the server ends."""
    change = faults.corrupt(link, "payload", b"other", nth=0)
    with lab.Cluster(seed=1, limit=9000) as cluster:
        cluster.add(lab.Master("server", window=1))
        cluster.add(Greeter("worker1"))
        client = cluster.client(timeout=5)
        cluster.inject(change)
        try:
            client.set(b"v", "k")
            list(client.job("server.foo", N, messages=6))
        except NoAnswer:
            pass
    assert named(cluster.trace, "failures") == []


# ---------------------------------------------------------------------------- lost, cut off, healed


def test_an_acknowledgement_that_is_lost_is_missing_from_the_window_alone() -> None:
    trace, answers, error = ran(faults.drop("router→Pull"), payloads=N * 60)
    assert (len(answers), error) == (360, None)
    assert named(trace) == [
        "An acknowledgement is lost between the router and Pull: a rule drops the 1st message."
    ]


@pytest.mark.parametrize("link", ["WorkerPush→router", "router→Pull", "Pull→router"])
def test_with_a_window_of_one_the_server_waits_for_it(link: str) -> None:
    trace, answers, error = ran(faults.drop(link, nth=2), window=1, timeout=None)
    assert isinstance(error, Deadlock)
    assert "server.Pull waits for credit at server.Pull:broker" in str(error)
    assert len(named(trace)) == 1
    assert ("acknowledgement is lost" in named(trace)[0]) == (link != "Pull→router")
    assert set(answers) <= set(N[:2])


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize(
    ("link", "lost"), [("client→Cache", "Request r"), ("Cache→client", "An answer is lost")]
)
def test_a_lost_question_or_answer_ends_with_the_timeout(
    link: str, lost: str, seed: int | None
) -> None:
    trace, _, error = ran(faults.drop(link), seed=seed, timeout=0.3)
    assert isinstance(error, NoAnswer)
    assert "no answer within 0.3 s" in str(error)
    (told,) = named(trace)
    assert told.startswith(lost)
    _, _, error = ran(faults.delay(link, by=0.1), seed=seed, timeout=3)
    if lost.startswith("Request"):
        assert isinstance(error, WiringError)
        return
    assert error is None
    _, _, error = ran(faults.delay(link, by=5), seed=seed, timeout=0.3)
    assert isinstance(error, NoAnswer)


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize(
    "fault",
    [
        faults.drop("client→Cache"),
        faults.part("client", "Cache"),
    ],
)
def test_a_question_that_is_lost_is_no_matter_for_others_who_ask(
    fault: Fault, seed: int | None
) -> None:
    with lab.Cluster(seed) as cluster:
        cluster.add(lab.Master("server"))
        client, other = cluster.client(timeout=0.3), cluster.client(timeout=1)
        other.set(b"value", "key")
        cluster.inject(fault)
        with pytest.raises(NoAnswer):
            client.get("key")
        assert other.get("key") == b"value"
        if fault.kind == "part":
            cluster.heal(fault)
        assert client.get("key") == b"value"


@pytest.mark.parametrize("kind", [faults.delay, faults.duplicate, faults.reorder])
@pytest.mark.parametrize("seed", [None, 1])
def test_a_question_can_not_be_late_or_come_twice_which_is_said(
    kind: Any, seed: int | None
) -> None:
    fault = kind("client→Cache")
    with lab.Cluster(seed) as cluster:
        cluster.add(lab.Master("server"))
        client = cluster.client(timeout=1)
        with pytest.raises(
            WiringError, match="has to answer each question before it hears the next"
        ):
            cluster.inject(fault)
        client.set(b"value", "key")
        assert client.get("key") == b"value"
    with lab.Cluster(seed, faults=[fault]) as cluster:
        cluster.add(lab.Master("server"))
        with pytest.raises(WiringError, match="Delay its answer"):
            cluster.client()


def test_an_answer_that_is_late_is_not_that_of_the_next_question() -> None:
    with lab.Cluster(1) as cluster:
        cluster.add(lab.Master("server"))
        client = cluster.client(timeout=3)
        client.set(b"one", "1")
        client.set(b"two", "2")
        cluster.inject(faults.delay("Cache→client", by=9))
        with pytest.raises(NoAnswer):
            client.get("1")
        assert client.get("2") == b"two"
    dropped = [event.text for event in cluster.trace.events if event.what == "drop"]
    assert dropped == ["it answers an earlier question"]


@pytest.mark.parametrize("seed", [None, 1])
def test_two_that_are_parted_hear_nothing_of_each_other_until_they_are_healed(
    seed: int | None,
) -> None:
    cut = faults.part("worker1", "WorkerPush")
    with lab.Cluster(seed) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("worker1"))
        client = cluster.client(timeout=0.5)
        assert client.eval("server.foo", b"x") == b"worker1 processed x"
        cluster.inject(cut)
        assert cluster.faults == [cut]
        for payload in (b"y", b"z"):
            with pytest.raises(NoAnswer):
                client.eval("server.foo", payload)
        client.set(b"others", "go on")
        cluster.heal(cut)
        assert cluster.faults == []
        assert client.eval("server.foo", b"back") == b"worker1 processed back"
    (told,) = named(cluster.trace)
    assert told.startswith("Messages 2 and 3 are lost between WorkerPush and worker1")
    assert [d.kind for d in cluster.trace.decisions if d.text] == ["inject", "heal"]


def test_both_directions_are_cut() -> None:
    for ends in (("Pull", "router"), ("router", "Pull")):
        trace, _, error = ran(faults.part(*ends), timeout=1)
        assert isinstance(error, NoAnswer)
        assert "between Pull and the router" in named(trace)[0]
        # Message, acknowledgement, message, and from the next acknowledgement on nothing.
        trace, answers, _ = ran(faults.part(*ends, nth=4), timeout=1, window=1)
        assert answers == N[:2]
        assert named(trace)[0].startswith("An acknowledgement is lost between the router and Pull")
