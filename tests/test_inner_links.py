"""Inner links: a part of ours with a socket of somebody else's in the router's place.

What crosses is `identity, empty, message`; any reply is one acknowledgement; feedback may come in
two frames, as a DEALER sees it, or in three. A window is one message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import zmq

from pylm_lab.parts.connections import PullConnection, PushConnection, RepConnection
from pylm_lab.parts.core import Inbound, Outbound, Router
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.services import PullService, PushPullService, PushService, RepService

Context = zmq.Context[zmq.Socket[bytes]]
Frames = list[bytes]

HERE, OUTSIDE, BACK = "inproc://stranger", "inproc://outside", "inproc://back"


@pytest.fixture
def context() -> Iterator[Context]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


def plug(context: Context, kind: int, address: str, *, binds: bool) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.rcvtimeo = socket.sndtimeo = 2000
    (socket.bind if binds else socket.connect)(address)
    return socket


def message(payload: bytes) -> bytes:
    return PalmMessage(client="c", cache="k", payload=payload).SerializeToString()


def payload(data: bytes) -> bytes:
    return PalmMessage.FromString(data).payload


def nothing_comes(socket: zmq.Socket[bytes]) -> bool:
    return not socket.poll(20)


def words(message: PalmMessage) -> Iterable[PalmMessage]:
    """A message a word."""
    for word in message.payload.split():
        yield PalmMessage(client=message.client, cache="k", payload=word)


#: A socket in the router's place → what comes before the message in its frames.
IN_PLACE_OF_INBOUND = pytest.mark.parametrize(
    ("kind", "envelope"),
    [
        pytest.param(zmq.REP, [], id="REP"),
        pytest.param(zmq.ROUTER, [b"Part", b""], id="ROUTER"),
        pytest.param(zmq.DEALER, [b""], id="DEALER"),
    ],
)
IN_PLACE_OF_OUTBOUND = pytest.mark.parametrize(
    ("kind", "envelope"),
    [
        pytest.param(zmq.REQ, [], id="REQ"),
        pytest.param(zmq.ROUTER, [b"Part", b""], id="ROUTER"),
        pytest.param(zmq.DEALER, [b""], id="DEALER"),
    ],
)
#: A part → the socket type of its pair.
INBOUND = pytest.mark.parametrize(
    ("part", "pair"),
    [
        (PullService, zmq.PUSH),
        (RepService, zmq.REQ),
        (PullConnection, zmq.PUSH),
        (RepConnection, zmq.REQ),
    ],
)
OUTBOUND = pytest.mark.parametrize("part", [PushService, PushConnection])


class Scene:
    """A part, its pair, and a stranger where it thinks that its router is."""

    def __init__(self, context: Context, stranger: int, part: type[Any], pair: int, **options: Any):
        self.stranger = plug(context, stranger, HERE, binds=True)
        connects = part.__name__.endswith("Connection")
        places = [OUTSIDE, BACK] if part.__name__.endswith("PushPullService") else [OUTSIDE]
        if connects:
            self.pair = plug(context, pair, OUTSIDE, binds=True)
        self.part = part("Part", *places, HERE, context=context, **options)
        self.part.open()
        if not connects:
            self.pair = plug(context, pair, OUTSIDE, binds=False)
        self.stranger.get(zmq.EVENTS)  # it knows the part

    def __enter__(self) -> Scene:
        self.part.launch()
        return self

    def __exit__(self, *error: object) -> None:
        self.part.stop()
        assert self.part.join()
        self.part.cleanup()
        self.stranger.close(linger=0)
        self.pair.close(linger=0)


# ------------------------------------------------------------------------------------------ inbound


@IN_PLACE_OF_INBOUND
@INBOUND
def test_an_inbound_part_hands_in_one_message_and_waits_for_any_reply(
    context: Context, kind: int, envelope: Frames, part: type[Inbound], pair: int
) -> None:
    with Scene(context, kind, part, pair) as scene:
        for n in range(3):
            scene.pair.send(message(b"%d" % n))
            if pair == zmq.PUSH and n == 0:
                scene.pair.send(message(b"early"))
            frames = scene.stranger.recv_multipart()
            assert frames[:-1] == envelope
            assert payload(frames[-1]) == b"%d" % n
            assert nothing_comes(scene.stranger), "it did not wait for its acknowledgement"
            scene.stranger.send_multipart([*envelope, b"whatever"])
            if pair == zmq.REQ:
                assert scene.pair.recv() == b"whatever"
            elif n == 0:
                assert payload(scene.stranger.recv_multipart()[-1]) == b"early"
                scene.stranger.send_multipart([*envelope, b""])


@IN_PLACE_OF_INBOUND
@INBOUND
def test_what_scatter_makes_is_handed_in_one_by_one_and_each_reply_is_heard_once(
    context: Context, kind: int, envelope: Frames, part: type[Inbound], pair: int
) -> None:
    heard: list[bytes] = []
    options: dict[str, Any] = {"scatter": words, "handle_feedback": heard.append}
    with Scene(context, kind, part, pair, **options) as scene:
        scene.pair.send(message(b"a b c"))
        for word in (b"a", b"b", b"c"):
            assert payload(scene.stranger.recv_multipart()[-1]) == word
            scene.stranger.send_multipart([*envelope, b"done with " + word])
        if pair == zmq.REQ:
            assert scene.pair.recv() == b"done with c"
        scene.pair.send(message(b""))  # of which nothing is made
        if pair == zmq.REQ:
            assert scene.pair.recv() == b"1"
        scene.pair.send(message(b"d"))
        assert payload(scene.stranger.recv_multipart()[-1]) == b"d"
        scene.stranger.send_multipart([*envelope, b"last"])
        if pair == zmq.REQ:
            assert scene.pair.recv() == b"last"
    assert heard[:3] == [b"done with a", b"done with b", b"done with c"]


@IN_PLACE_OF_INBOUND
@pytest.mark.parametrize("part", [RepService, RepConnection])
def test_what_reply_feedback_says_is_what_the_pair_gets(
    context: Context, kind: int, envelope: Frames, part: type[Inbound]
) -> None:
    heard: list[bytes] = []
    options: dict[str, Any] = {
        "handle_feedback": heard.append,
        "reply_feedback": lambda: b"after " + heard[-1],
    }
    with Scene(context, kind, part, zmq.REQ, **options) as scene:
        for n in range(2):
            scene.pair.send(message(b"x"))
            scene.stranger.recv_multipart()
            scene.stranger.send_multipart([*envelope, b"%d" % n])
            assert scene.pair.recv() == b"after %d" % n


@IN_PLACE_OF_INBOUND
@INBOUND
def test_an_inbound_part_ends_after_its_messages_from_outside(
    context: Context, kind: int, envelope: Frames, part: type[Inbound], pair: int
) -> None:
    with Scene(context, kind, part, pair, messages=2) as scene:
        for _ in range(2):
            scene.pair.send(message(b"x"))
            scene.stranger.recv_multipart()
            scene.stranger.send_multipart([*envelope, b"1"])
            if pair == zmq.REQ:
                assert scene.pair.recv() == b"1"
        assert scene.part.join()
        assert scene.part.reason is None


# ----------------------------------------------------------------------------------------- outbound


@IN_PLACE_OF_OUTBOUND
@OUTBOUND
def test_an_outbound_part_acknowledges_each_message_once(
    context: Context, kind: int, envelope: Frames, part: type[Outbound]
) -> None:
    with Scene(context, kind, part, zmq.PULL) as scene:
        for n in range(3):
            scene.stranger.send_multipart([*envelope, message(b"%d" % n)])
            assert payload(scene.pair.recv()) == b"%d" % n
            assert scene.stranger.recv_multipart() == [*envelope, b"1"]
        assert nothing_comes(scene.stranger)


@IN_PLACE_OF_OUTBOUND
@OUTBOUND
def test_an_outbound_part_may_make_many_or_none_and_acknowledges_one(
    context: Context, kind: int, envelope: Frames, part: type[Outbound]
) -> None:
    options: dict[str, Any] = {"scatter": words, "reply_feedback": lambda: b"told"}
    with Scene(context, kind, part, zmq.PULL, **options) as scene:
        for text in (b"a b", b"", b"c"):
            scene.stranger.send_multipart([*envelope, message(text)])
            for word in text.split():
                assert payload(scene.pair.recv()) == word
            assert scene.stranger.recv_multipart() == [*envelope, b"told"]
            assert nothing_comes(scene.pair)


@IN_PLACE_OF_OUTBOUND
@OUTBOUND
def test_an_outbound_part_ends_after_its_messages_from_the_router(
    context: Context, kind: int, envelope: Frames, part: type[Outbound]
) -> None:
    with Scene(context, kind, part, zmq.PULL, messages=2) as scene:
        for _ in range(2):
            scene.stranger.send_multipart([*envelope, message(b"x")])
            scene.pair.recv()
            assert scene.stranger.recv_multipart() == [*envelope, b"1"]
        assert scene.part.join()
        assert scene.part.reason is None


@IN_PLACE_OF_OUTBOUND
def test_a_blocking_pair_of_sockets_tells_what_came_back(
    context: Context, kind: int, envelope: Frames
) -> None:
    heard: list[bytes] = []
    options: dict[str, Any] = {"handle_feedback": heard.append}
    with (
        Scene(context, kind, PushPullService, zmq.PULL, **options) as scene,
        plug(context, zmq.PUSH, BACK, binds=False) as back,
    ):
        for n in range(2):
            scene.stranger.send_multipart([*envelope, message(b"%d" % n)])
            assert payload(scene.pair.recv()) == b"%d" % n
            assert nothing_comes(scene.stranger), "it did not wait for its pair"
            back.send(b"done %d" % n)
            assert scene.stranger.recv_multipart() == [*envelope, b"done %d" % n]
    assert heard == [b"done 0", b"done 1"]


@IN_PLACE_OF_OUTBOUND
def test_a_plain_blocking_part_does_so_too(context: Context, kind: int, envelope: Frames) -> None:
    class PlainConnection(Outbound):
        def __init__(self, name: str, address: str, broker: str, **options: Any) -> None:
            super().__init__(name, address, zmq.REQ, broker_address=broker, **options)

    with Scene(context, kind, PlainConnection, zmq.REP) as scene:
        scene.stranger.send_multipart([*envelope, message(b"x")])
        assert payload(scene.pair.recv()) == b"x"
        scene.pair.send(b"answer")
        assert scene.stranger.recv_multipart() == [*envelope, b"answer"]


# ---------------------------------------------------------------------------------- feedback frames


@pytest.mark.parametrize("frames", [[b"Part", b"feedback"], [b"Part", b"", b"feedback"]])
def test_feedback_from_a_router_may_come_in_two_frames_or_three(
    context: Context, frames: Frames
) -> None:
    heard: list[bytes] = []
    with Scene(context, zmq.ROUTER, RepService, zmq.REQ, handle_feedback=heard.append) as scene:
        for _ in range(2):
            scene.pair.send(message(b"x"))
            scene.stranger.recv_multipart()
            scene.stranger.send_multipart(frames)
            assert scene.pair.recv() == b"feedback"
    assert heard == [b"feedback", b"feedback"]


@pytest.mark.parametrize("frames", [[b"Part"], [b"Part", b""]])
def test_a_message_for_an_outbound_part_may_come_with_its_delimiter_or_without(
    context: Context, frames: Frames
) -> None:
    with Scene(context, zmq.ROUTER, PushService, zmq.PULL) as scene:
        scene.stranger.send_multipart([*frames, message(b"x")])
        assert payload(scene.pair.recv()) == b"x"
        assert scene.stranger.recv_multipart() == [b"Part", b"", b"1"]


@pytest.mark.parametrize("feedback", [[b"fed back"], [b"", b"fed back"]])
def test_the_router_takes_feedback_in_two_frames_or_three(
    context: Context, feedback: Frames
) -> None:
    router = Router("inproc://in", "inproc://out", context=context)
    router.register_inbound("Ask", route="Deal", block=True)
    router.register_outbound("Deal", blocks=True)
    router.open()
    ask, deal = context.socket(zmq.REQ), context.socket(zmq.DEALER)
    for name, socket, side in ((b"Ask", ask, "in"), (b"Deal", deal, "out")):
        socket.routing_id, socket.rcvtimeo = name, 2000
        socket.connect(f"inproc://{side}")
    router.ready()
    with ask, deal, router:
        for _ in range(2):
            ask.send(b"question")
            assert deal.recv_multipart() == [b"", b"question"]
            deal.send_multipart(feedback)
            assert ask.recv_multipart() == [b"fed back"]
