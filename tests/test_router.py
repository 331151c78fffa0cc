"""The router by hand: what it does with the frames of plain sockets of somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import zmq

from pylm_lab.errors import WiringError
from pylm_lab.hook import Hook, Port
from pylm_lab.parts.core import Router
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.services import PullService, PushService

Plug = Callable[[str, str], zmq.Socket[bytes]]


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def plug(context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[Plug]:
    """A DEALER of this name, connected to an address, which never waits longer than 2 s."""
    made = []

    def connect(name: str, address: str) -> zmq.Socket[bytes]:
        socket = context.socket(zmq.DEALER)
        socket.routing_id = name.encode()
        socket.rcvtimeo = 2000
        socket.connect(address)
        made.append(socket)
        return socket

    yield connect
    for socket in made:
        socket.close(linger=0)


def a_router(context: zmq.Context[zmq.Socket[bytes]], **options: object) -> Router:
    return Router("inproc://in", "inproc://out", context=context, **options)  # type: ignore[arg-type]


def nothing_comes(socket: zmq.Socket[bytes]) -> bool:
    return not socket.poll(30)


def test_a_message_goes_to_the_part_that_the_route_names(
    context: zmq.Context[zmq.Socket[bytes]], plug: Plug
) -> None:
    router = a_router(context)
    router.register_inbound("Pull", route="Push")
    router.register_outbound("Pub")
    router.register_outbound("Push")
    router.open()
    pull, push, pub = (
        plug("Pull", "inproc://in"),
        plug("Push", "inproc://out"),
        plug("Pub", "inproc://out"),
    )
    router.ready()
    with router:
        pull.send_multipart([b"", b"hello"])
        assert push.recv_multipart() == [b"", b"hello"]
        assert nothing_comes(pub)
        push.send_multipart([b"", b"1"])
        assert pull.recv_multipart() == [b"", b"1"]


def test_between_a_plain_req_and_a_plain_rep_nothing_but_their_envelopes_crosses(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    router = a_router(context, window=64)
    router.register_inbound("Ask", route="Answer", block=True)
    router.register_inbound("Tell", route="Answer")
    router.register_outbound("Answer")
    router.open()
    with (
        context.socket(zmq.REQ) as ask,
        context.socket(zmq.REQ) as tell,
        context.socket(zmq.REP) as answer,
    ):
        for name, socket, side in ((b"Ask", ask, "in"), (b"Tell", tell, "in")):
            socket.routing_id, socket.rcvtimeo = name, 2000
            socket.connect(f"inproc://{side}")
        answer.routing_id, answer.rcvtimeo = b"Answer", 2000
        answer.connect("inproc://out")
        router.ready()
        with router:
            for n in range(3):
                ask.send(b"ask %d" % n)
                assert answer.recv_multipart() == [b"ask %d" % n]
                answer.send(b"feedback %d" % n)
                assert ask.recv_multipart() == [b"feedback %d" % n]
                tell.send(b"tell %d" % n)
                assert answer.recv_multipart() == [b"tell %d" % n]
                answer.send(b"feedback")
                assert tell.recv_multipart() == [b"1"]


def test_parts_and_a_router_that_were_put_together_by_hand_work_with_a_window_of_one(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    router = a_router(context)
    router.register_inbound("Pull", route="Push")
    router.register_outbound("Push")
    pull = PullService("Pull", "inproc://pull", "inproc://in", context=context)
    push = PushService("Push", "inproc://push", "inproc://out", context=context)
    router.open()
    for part in (pull, push):
        part.open()
    router.ready()
    with (
        context.socket(zmq.PUSH) as source,
        context.socket(zmq.PULL) as sink,
        router,
        pull,
        push,
    ):
        sink.rcvtimeo = 2000
        source.connect("inproc://pull")
        sink.connect("inproc://push")
        sent = [
            PalmMessage(client="c", cache="k", payload=b"%d" % n).SerializeToString()
            for n in range(300)
        ]
        for data in sent:
            source.send(data)
        assert [sink.recv() for _ in sent] == sent


def test_without_a_route_a_message_is_acknowledged_and_goes_nowhere(
    context: zmq.Context[zmq.Socket[bytes]], plug: Plug
) -> None:
    router = a_router(context)
    router.register_inbound("Pull")
    router.register_outbound("Push")
    router.open()
    pull, push = plug("Pull", "inproc://in"), plug("Push", "inproc://out")
    router.ready()
    with router:
        pull.send_multipart([b"", b"hello"])
        assert pull.recv_multipart() == [b"", b"1"]
        assert nothing_comes(push)


def test_a_blocking_inbound_part_gets_the_feedback_itself(
    context: zmq.Context[zmq.Socket[bytes]], plug: Plug
) -> None:
    router = a_router(context)
    router.register_inbound("Rep", route="Http", block=True)
    router.register_outbound("Http", blocks=True)
    router.open()
    rep, http = plug("Rep", "inproc://in"), plug("Http", "inproc://out")
    router.ready()
    with router:
        rep.send_multipart([b"", b"question"])
        assert http.recv_multipart() == [b"", b"question"]
        http.send_multipart([b"", b"the answer"])
        assert rep.recv_multipart() == [b"", b"the answer"]


def test_feedback_goes_on_to_a_second_outbound_part_once(
    context: zmq.Context[zmq.Socket[bytes]], plug: Plug
) -> None:
    router = a_router(context)
    router.register_inbound("Pull", route="Http")
    router.register_outbound("Http", route="Pub", blocks=True)
    router.register_outbound("Pub")
    router.open()
    pull, http, pub = (
        plug("Pull", "inproc://in"),
        plug("Http", "inproc://out"),
        plug("Pub", "inproc://out"),
    )
    router.ready()
    with router:
        pull.send_multipart([b"", b"question"])
        http.recv_multipart()
        http.send_multipart([b"", b"the answer"])
        assert pub.recv_multipart() == [b"", b"the answer"]
        pub.send_multipart([b"", b"1"])
        assert pull.recv_multipart() == [b"", b"1"]
        assert nothing_comes(pub)
        assert nothing_comes(http)


def test_feedback_that_was_handed_on_is_not_handed_on_again(
    context: zmq.Context[zmq.Socket[bytes]], plug: Plug
) -> None:
    router = a_router(context)
    router.register_inbound("Pull", route="A")
    router.register_outbound("A", route="B")
    router.register_outbound("B", route="A")
    router.open()
    pull, a, b = plug("Pull", "inproc://in"), plug("A", "inproc://out"), plug("B", "inproc://out")
    router.ready()
    with router:
        pull.send_multipart([b"", b"message"])
        assert a.recv_multipart() == [b"", b"message"]
        a.send_multipart([b"", b"from A"])
        assert b.recv_multipart() == [b"", b"from A"]
        b.send_multipart([b"", b"from B"])
        assert nothing_comes(a)


def test_in_lockstep_one_message_is_in_the_whole_router(
    context: zmq.Context[zmq.Socket[bytes]], plug: Plug
) -> None:
    router = a_router(context, lockstep=True)
    router.register_inbound("A", route="Push")
    router.register_inbound("B", route="Pub")
    router.register_outbound("Push")
    router.register_outbound("Pub")
    router.open()
    a, b = plug("A", "inproc://in"), plug("B", "inproc://in")
    push, pub = plug("Push", "inproc://out"), plug("Pub", "inproc://out")
    router.ready()
    with router:
        a.send_multipart([b"", b"first"])
        assert push.recv_multipart() == [b"", b"first"]
        b.send_multipart([b"", b"second"])
        assert nothing_comes(pub)
        push.send_multipart([b"", b"1"])
        assert pub.recv_multipart() == [b"", b"second"]


@pytest.mark.parametrize(("hold", "others_go_on"), [("server", False), ("part", True)])
def test_a_blocking_outbound_part_holds_the_server_or_only_what_is_routed_to_it(
    context: zmq.Context[zmq.Socket[bytes]], plug: Plug, hold: str, others_go_on: bool
) -> None:
    router = a_router(context, hold=hold)
    router.register_inbound("A", route="Http")
    router.register_inbound("B", route="Pub")
    router.register_outbound("Http", blocks=True)
    router.register_outbound("Pub")
    router.open()
    a, b = plug("A", "inproc://in"), plug("B", "inproc://in")
    http, pub = plug("Http", "inproc://out"), plug("Pub", "inproc://out")
    router.ready()
    with router:
        a.send_multipart([b"", b"1st"])
        assert http.recv_multipart() == [b"", b"1st"]
        a.send_multipart([b"", b"2nd"])
        b.send_multipart([b"", b"other"])
        assert nothing_comes(http)
        if others_go_on:
            assert pub.recv_multipart() == [b"", b"other"]
        else:
            assert nothing_comes(pub)
        http.send_multipart([b"", b"done"])
        assert http.recv_multipart() == [b"", b"2nd"]


def test_it_ends_after_the_number_of_messages_that_it_was_told(
    context: zmq.Context[zmq.Socket[bytes]], plug: Plug
) -> None:
    router = a_router(context, messages=2)
    router.register_inbound("Pull")
    router.open()
    pull = plug("Pull", "inproc://in")
    router.ready()
    for payload in (b"1", b"2", b"3"):
        pull.send_multipart([b"", payload])
    assert router.start() == b"router"
    assert [pull.recv_multipart()[1], pull.recv_multipart()[1]] == [b"1", b"1"]
    assert nothing_comes(pull)


def test_an_unknown_route_names_the_part_the_route_and_the_nearest_name() -> None:
    router = Router()
    router.register_inbound("Pull", route="WorkerPsuh")
    router.register_outbound("WorkerPush")
    with pytest.raises(WiringError, match=r"'Pull'.*'WorkerPsuh'.*did you mean 'WorkerPush'"):
        router.start()


def test_a_route_to_an_inbound_part_says_so() -> None:
    router = Router()
    router.register_inbound("Pull", route="Other")
    router.register_inbound("Other")
    with pytest.raises(WiringError, match="'Other' is an inbound part"):
        router.start()


@pytest.mark.parametrize("name", ["", "\0x", "x" * 256, 3])
def test_a_name_that_can_not_be_a_routing_id_is_refused(name: str) -> None:
    with pytest.raises(WiringError, match="routing id"):
        Router().register_inbound(name)


def test_two_parts_of_one_name_are_refused_whatever_their_direction() -> None:
    router = Router()
    router.register_inbound("Same")
    with pytest.raises(WiringError, match="two parts are called 'Same'"):
        router.register_outbound("Same")


@pytest.mark.parametrize(
    ("options", "text"),
    [({"hold": "nobody"}, "hold='nobody'"), ({"window": 0}, "window=0")],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(WiringError, match=text):
        Router(**options)  # type: ignore[arg-type]


def test_what_can_not_be_delivered_is_dropped_by_name_and_the_rest_of_the_batch_goes_on(
    context: zmq.Context[zmq.Socket[bytes]], plug: Plug
) -> None:
    drops: list[tuple[list[bytes], str]] = []

    class Drops(Hook):
        def hop_dropped(self, port: Port, frames: list[bytes], cause: str, at: int) -> None:
            drops.append((frames, cause))

    router = a_router(context)
    router.register_inbound("Left", route="Push")
    router.register_inbound("Right", route="Gone")
    router.register_outbound("Push")
    router.register_outbound("Gone")
    router.attach(Drops())
    router.open()
    left, right = plug("Left", "inproc://in"), plug("Right", "inproc://in")
    push = plug("Push", "inproc://out")
    router.ready()
    for n in range(3):
        left.send_multipart([b"", b"left %d" % n])
        right.send_multipart([b"", b"right %d" % n])
    with router:  # it finds all six
        assert [push.recv_multipart()[-1] for _ in range(3)] == [b"left 0", b"left 1", b"left 2"]
        assert [right.recv_multipart()[-1] for _ in range(3)] == [b"1"] * 3
        for _ in range(3):
            push.send_multipart([b"", b"1"])
        assert [left.recv_multipart()[-1] for _ in range(3)] == [b"1"] * 3
    assert [frames[-1] for frames, _ in drops] == [b"right 0", b"right 1", b"right 2"]
    assert {cause for _, cause in drops} == {"Gone is not connected to the router"}
    assert not any(part.owed for part in router.table.outbound.values()), "nothing is due"
