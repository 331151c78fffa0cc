"""What could happen next in a controlled run, and what just has, told in words."""

from __future__ import annotations

import random

import pytest
from stepped import kinds, make, sentences, walk

import pylm_lab as lab
from pylm_lab.errors import WiringError
from pylm_lab.moves import Move, Moves
from pylm_lab.scenarios import Tripling

#: One call, from its subscription to its end: sentence, what crosses, the link, the message.
ONE_CALL = """\
client subscribes to its answers. | | |
Pub learns that a subscription of client has changed. | | client→Pub |
client subscribes to its answers. | | |
Pub learns that a subscription of client has changed. | | client→Pub |
Pub tells client that its subscription is known. | ready | Pub→client |
client hears from Pub that its subscription is known. | ready | Pub→client |
client sends message 1 to Pull. | message | client→Pull | 1
Pull receives message 1 from client. | message | client→Pull | 1
Pull sends message 1 to the router. | message | Pull→router | 1
the router receives message 1 from Pull. | message | Pull→router | 1
the router sends message 1 to WorkerPush. | message | router→WorkerPush | 1
WorkerPush receives message 1 from the router. | message | router→WorkerPush | 1
WorkerPush sends message 1 to worker1. | message | WorkerPush→worker1 | 1
worker1 receives message 1 from WorkerPush. | message | WorkerPush→worker1 | 1
worker1 sends message 1 to WorkerPull. | message | worker1→WorkerPull | 1
WorkerPull receives message 1 from worker1. | message | worker1→WorkerPull | 1
WorkerPull sends message 1 to the router. | message | WorkerPull→router | 1
the router receives message 1 from WorkerPull. | message | WorkerPull→router | 1
the router sends message 1 to Pub. | message | router→Pub | 1
Pub receives message 1 from the router. | message | router→Pub | 1
Pub sends message 1 to client. | message | Pub→client | 1
client receives message 1 from Pub. | message | Pub→client | 1
client wants no more answers. | | |
Pub learns that a subscription of client has changed. | | client→Pub |
client wants no more answers. | | |
Pub learns that a subscription of client has changed. | | client→Pub |"""


def told(move: Move) -> str:
    row = [move.sentence, move.kind, move.link, move.message]
    return " | ".join(row).replace("|  |", "| |").replace("|  |", "| |").rstrip()


def test_a_call_is_told_step_by_step_in_plain_sentences() -> None:
    with make() as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"x")
        moves = cluster.run()
    assert task.result() == b"worker1 processed x"
    assert "\n".join(map(told, moves)) == ONE_CALL


def test_what_is_pending_stays_the_same_until_something_moves() -> None:
    traces = []
    for asks in (1, 3):
        with make(workers=2) as cluster:
            cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 4, 4)), cluster.client())
            before = len(cluster.trace.events), len(cluster.trace.decisions)
            while found := cluster.pending:
                assert [move.number for move in found] == list(range(1, len(found) + 1))
                for _ in range(asks):
                    assert cluster.pending == found
                assert (len(cluster.trace.events), len(cluster.trace.decisions)) == before
                cluster.step()
                before = len(cluster.trace.events), len(cluster.trace.decisions)
        traces.append(cluster.trace)
    assert traces[0].events == traces[1].events
    assert traces[0].decisions == traces[1].decisions


def test_no_two_that_are_pending_have_one_name_and_each_tells_where_it_is() -> None:
    with make(workers=2) as cluster:
        cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 6, 6)), cluster.client())
        ports = {port.id: port.actor for port in cluster.trace.ports}
        counts: list[int] = []

        def each(chosen: Move, moves: Moves) -> None:
            found = cluster.pending
            assert len({move.name for move in found}) == len(found)
            assert len({move.sentence for move in found}) == len(found)
            assert all(ports[move.port] == move.actor for move in found)
            counts.append(len(found))

        walk(cluster, random.Random(1), each)
    assert max(counts) > 3


@pytest.mark.parametrize("seed", range(5))
def test_a_step_is_one_decision_and_the_events_of_one_actor(seed: int) -> None:
    with make(workers=2) as cluster:
        for _ in range(2):
            cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 3, 3)), cluster.client())
        events, decisions = [len(cluster.trace.events)], [len(cluster.trace.decisions)]

        def each(chosen: Move, moves: Moves) -> None:
            (move,) = moves
            assert move.name == chosen.name
            assert (move.sentence, move.number) == (
                # What is new has no number before it is sent.
                chosen.sentence.replace("a new message", f"message {move.message}"),
                1,
            )
            trace = cluster.trace
            new = trace.events[events[0] :]
            assert {event.actor for event in new} <= {move.actor}
            assert len({event.at for event in new}) <= 1
            (decision,) = trace.decisions[decisions[0] :]
            assert (decision.actor, decision.kind, decision.port) == move.name
            events[0], decisions[0] = len(trace.events), len(trace.decisions)

        assert walk(cluster, random.Random(seed), each) > 100
    assert cluster.trace.check() == []


@pytest.mark.parametrize("seed", range(5))
def test_messages_are_called_as_the_trace_calls_them(seed: int) -> None:
    found: list[tuple[str, str, str, str]] = []

    def each(_: Move, moves: Moves) -> None:
        found.extend((m.operation, m.port, m.kind, m.message) for m in moves if m.kind != "ready")

    with lab.Cluster(schedule="stepped") as cluster:
        cluster.add(Tripling("server"))
        cluster.add(lab.Worker("worker1"))
        client = cluster.client()

        def play() -> None:
            key = client.set(b"a value")
            list(client.job("server.echo", [b"x"] * 2, 6))
            client.delete(key)

        begun = len(cluster.trace.events)
        cluster.start(play)
        walk(cluster, random.Random(seed), each)
    trace = cluster.trace
    names = [m for _, _, kind, m in found if kind == "message"]
    assert set(names) == {"1", "1.1", "1.2", "2", "2.1", "2.2"}
    assert [one for one in found if one[0] in ("send", "receive") and one[2]] == [
        (event.what, event.port, event.kind, trace.numbers.get(event.message, ""))
        for event in trace.events[begun:]
        if event.what in ("send", "receive") and not event.topic.startswith("\\xffready:")
    ]


def test_what_is_pending_is_about_the_message_that_then_moves() -> None:
    with lab.Cluster(schedule="stepped") as cluster:
        cluster.add(Tripling("server"))
        cluster.add(lab.Worker("worker1"))
        cluster.start(lambda c: list(c.job("server.echo", [b"x"], 3)), cluster.client())

        def each(chosen: Move, moves: Moves) -> None:
            if chosen.message:
                assert [move.sentence for move in moves] == [chosen.sentence]

        walk(cluster, random.Random(1), each)


def test_where_several_could_take_a_message_all_of_them_are_named_and_no_link_is() -> None:
    with make(workers=2) as cluster:
        cluster.start(cluster.client().eval, "server.foo", b"x")
        cluster.run_until(part="WorkerPush", kind="receive")
        (move,) = (m for m in cluster.pending if m.actor == "server.WorkerPush")
        assert move.sentence == "WorkerPush sends message 1 to worker1 or worker2."
        assert move.link == ""
        cluster.step(move)
        (taken,) = (m for m in cluster.pending if m.operation == "receive" and m.message)
        assert taken.link in ("WorkerPush→worker1", "WorkerPush→worker2")


def test_two_servers_have_parts_of_one_label_which_are_called_by_their_ids() -> None:
    with lab.Cluster(schedule="stepped") as cluster:
        for name in ("one", "two"):
            cluster.add(lab.Master(name))
            cluster.add(lab.Worker(f"worker of {name}", server=name))
        task = cluster.start(cluster.client("two").eval, "two.echo", b"x")
        moves = cluster.run_until(part="two.Pull")
        assert moves[-1].sentence == "two.Pull receives message 1 from client."
        assert moves[-1].link == "client→two.Pull"
        with pytest.raises(WiringError, match=r"part='Pull' takes no part: did you mean 'two\.Pul"):
            cluster.run_until(part="Pull")
        cluster.run()
        assert task.result() == b"x"


def test_a_list_of_moves_shows_itself_as_numbered_sentences() -> None:
    with make() as cluster:
        assert repr(cluster.pending).startswith("Nothing can move: begin a call with cluster.start")
        assert cluster.pending._repr_html_().startswith("<p>Nothing can move")
        client = cluster.client(name="<b>&")
        cluster.start(client.eval, "server.foo", b"x")
        assert repr(cluster.pending) == "1  <b>& subscribes to its answers."
        assert str(cluster.pending[0]) == "<b>& subscribes to its answers."
        page = cluster.pending._repr_html_()
        assert "&lt;b&gt;&amp; subscribes" in page
        assert "<b>&" not in page
        moves = cluster.run()
    assert repr(moves).splitlines()[8:10] == [
        " 9  Pull sends message 1 to the router.",
        "10  the router receives message 1 from Pull.",
    ]


def test_a_move_can_be_chosen_by_number_and_by_itself() -> None:
    runs = []
    for by_number in (True, False):
        with make(workers=2) as cluster:
            cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 3, 3)), cluster.client())
            while found := cluster.pending:
                last = found[-1]
                moves = cluster.step(choice=last.number) if by_number else cluster.step(last)
                assert [move.name for move in moves] == [last.name]
            runs.append(kinds(cluster))
    assert runs[0] == runs[1]


def test_a_choice_is_of_the_first_of_several_steps() -> None:
    with make(workers=2) as cluster:
        cluster.start(lambda c: list(c.job("server.foo", [b"x"] * 3, 3)), cluster.client())
        cluster.run_until(message=2)
        second = cluster.pending[1]
        moves = cluster.step(3, choice=second)
        assert (len(moves), moves[0].name) == (3, second.name)


def test_what_can_not_happen_any_more_can_not_be_chosen() -> None:
    with make() as cluster:
        cluster.start(lambda c: list(c.job("server.foo", [b"1", b"2"], 2)), cluster.client())
        cluster.run_until(part="client", message=1)
        (old,) = (move for move in cluster.pending if move.actor == "server.Pull")
        assert old.sentence == "Pull receives message 1 from client."
        cluster.step(old)
        count = len(cluster.trace.decisions)
        with pytest.raises(
            WiringError,
            match=r"'Pull receives message 1 from client\.' can't happen now: there are",
        ):
            cluster.step(old)
        assert len(cluster.trace.decisions) == count
        cluster.run_until(part="client", message=2)
        assert "Pull receives message 2 from client." in sentences(cluster.pending)
        with pytest.raises(WiringError, match="can't happen now"):
            cluster.step(old)


@pytest.mark.parametrize("seed", range(3))
def test_a_choice_holds_also_while_a_call_makes_a_client_of_its_own(seed: int) -> None:
    with make() as cluster:
        first, other = cluster.client(), cluster.client()

        def play() -> object:
            return first.eval("server.foo", b"a"), cluster.client().eval("server.foo", b"b")

        task = cluster.start(play)
        cluster.start(other.eval, "server.foo", b"z")

        def each(chosen: Move, moves: Moves) -> None:
            assert [move.name for move in moves] == [chosen.name]

        walk(cluster, random.Random(seed), each)
        assert task.result() == (b"worker1 processed a", b"worker1 processed b")
