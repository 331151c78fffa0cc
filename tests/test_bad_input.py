"""What nobody should send: each is told once, or answered, and no other message suffers.

One table of bytes, sent to every socket of every kind of server, while nobody records and while
somebody does. Around each bad input the bystanders ask ten times and want ten answers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import zmq
from besieged import House, besieged
from foreign import Peers, chunk, decode, encode, number, stamp, varint

from pylm_lab.clients import Client

LARGE = 10_000_000
LAST = 2**63 - 1
#: Characters that a line of the log may have, whatever was sent.
LINE = 1000

#: Bytes that are no message.
NO_MESSAGE = {
    "text": b"no message at all",
    "a number without its end": b"\x18" + b"\xff" * 9,
    "a huge number": b"\x18" + b"\xff" * 20 + b"\1",
    "a key without its end": b"\xff" * 12,
    "a key alone": b"\x32",
    "a cut payload": b"\x32\x7fshort",
    "a payload of 4 GB that is not there": b"\x32\xff\xff\xff\xff\x0f",
    "a negative length": b"\x32" + varint(-1),
    "field 0": b"\x00\x00",
    "wire type 6": b"\x36",
    "wire type 7": b"\x37\x00",
    "a group without its end": b"\x0b",
    "an end without a group": b"\x0c",
    "ten thousand groups": b"\x0b" * 10_000,
    "half a fixed number": b"\x39abc",
    "a client that is not UTF-8": chunk(2, b"\xff\xfe"),
    "half a surrogate in the function": chunk(4, b"server.\xed\xa0\x80"),
    "an id that is not UTF-8": chunk(5, b"\xc3("),
    "an error that is none": chunk(536870910, b"\xff"),
    "10 MB of nothing": b"\xff" * LARGE,
    "a stamp behind text": b"no message" + stamp(1, 2, 3),
    "half a stamp": stamp(1, 2, 3)[:-1],
}


def call(function: str = "server.turn", **fields: Any) -> bytes:
    """A message of the bad client."""
    return encode(client="bad", function=function, **{"payload": b"abc", **fields})


class Case(NamedTuple):
    """What is sent, and what comes of it: lines in the log, and the payload of an answer."""

    where: str
    what: str
    frames: list[bytes]
    lines: int = 1
    answer: bytes | None = None


def small(table: dict[str, bytes], where: str) -> Iterator[tuple[str, bytes]]:
    """What is sent there: of 10 MB only where a master pulls, which takes it on a long way."""
    return ((k, data) for k, data in table.items() if where == "pull" or len(data) < LARGE)


def cases() -> Iterator[Case]:
    """Every bad input."""
    for where in ("pull", "results", "server", "pipeline", "sink", "hub", "worker"):
        for what, data in small(NO_MESSAGE, where):
            yield Case(where, what, [data])
    for what, data in NO_MESSAGE.items():
        yield Case("cache", what, [b"", data], answer=b"")
        yield Case("rep", what, [b"", data], answer=b"1")
    # What a message may not ask of a worker, or of a server that works itself.
    for where in ("pull", "server", "pipeline", "hub", "worker"):
        for what, data in small(REFUSED, where):
            yield Case(where, what, [data], answer=b"0")
        for what, data in small({what: one for what, (one, _) in STRANGE.items()}, where):
            answer = STRANGE[what][1]
            yield Case(where, what, [data], 0, answer)
    yield Case("pull", "several frames, each a message", [b"junk", b"\xff", call()], 2, b"cba")
    yield Case("results", "several frames", [b"junk", b"\xff"], 2)
    yield Case("results", "a result that nobody asked for", [call(payload=b"x")], 0, b"x")
    yield Case("results", "the last stage", [call(stage=LAST, payload=b"x")], 0, b"x")
    yield Case("piped", "no stage follows", [call(stage=LAST)])
    yield Case("piped", "text", [b"no message at all"])
    yield Case("piped", "the stage before the last", [call(stage=LAST - 1, payload=b"x")], 0, b"x")
    for where in ("pipeline", "sink", "hub"):
        topic = where.encode()
        yield Case(f"{where}:raw", "a topic alone", [topic])
        yield Case(f"{where}:raw", "three frames", [topic, call(), call()])
        yield Case(f"{where}:raw", "another topic, which begins alike", [topic + b"1", call()], 0)
        yield Case(
            f"{where}:raw", "an echo that nobody asked for", [b"\xffready:" + topic, b"x"], 0
        )
    yield Case("pub", "an empty subscription", [b""])
    yield Case("pub", "text", [b"Xbystander"])
    yield Case("pub", "frames", [b"Xbystander", b"", b"\2"])
    # Of 10 MB, ZeroMQ's XSUB overflows its own stack.
    yield Case("pub", "a subscription of 10 kB", [b"\1" + bytes(10_000)], 0)
    yield Case("pub", "a subscription that is not UTF-8", [b"\1\xff\xfe"], 0)
    yield Case("pub", "an end of what it never asked for", [b"\0bystander"], 0)
    yield Case("cache", "no operation", [b"", b""], answer=b"")
    yield Case("cache", "another operation", [b"", encode(function="a.rename")], answer=b"")
    yield Case("cache", "an operation of 1 MB", [b"", encode(function="a." + "b" * 10**6)], 1, b"")
    yield Case("cache", "a private name", [b"", encode(function="a.__init__")], answer=b"")
    absent = encode(function="a.delete", payload=b"absent")
    yield Case("cache", "to delete what is not there", [b"", absent], answer=b"")
    large = encode(function="a.delete", payload=b"k" * LARGE)
    yield Case("cache", "to delete 10 MB of key", [b"", large], answer=b"")
    for operation in ("get", "delete"):
        odd = encode(function=f"a.{operation}", payload=b"\xff\xfe")
        yield Case("cache", f"to {operation} a key that is not UTF-8", [b"", odd], answer=b"")
    get = encode(function="a.get", payload=b"absent")
    yield Case("cache", "to get what is not there", [b"", get], 0, b"")
    yield Case("cache", "several frames", [b"", b"junk", b"more", get], 0, b"")
    yield Case("cache", "no delimiter", [get], 0)
    yield Case("rep", "an empty message", [b"", b""], 0, b"1")
    yield Case("inbound", "one frame", [b"x"])
    yield Case("inbound", "two frames", [b"", call()])
    yield Case("inbound", "three frames", [b"", call(), call()])
    yield Case("inbound", "five frames", [b"", b"", b"", b"", b""])
    yield Case("outbound", "one frame", [b"x"])
    yield Case("outbound", "feedback", [b"", b"1"])
    yield Case("outbound", "feedback that is no number", [b"", b"many"])
    yield Case("outbound", "four frames", [b"", b"1", b"1", b"1"])


#: Messages that are refused: `b'0'`, and one line.
REFUSED = {
    "no function": call(""),
    "an unknown function": call("server.absent"),
    "a constructor": call("server.__init__"),
    "a class": call("server.__class__"),
    "a private method": call("server._private"),
    "a method of the library": call("server.start"),
    "to end it": call("server.stop"),
    "a method of a method": call("server.turn.__call__"),
    "what is no method": call("server.number"),
    "a name that is none": call("server.1 2"),
    "dots alone": call("..."),
    "a stage too far": call(stage=1),
    "a stage before the first": call(stage=-1),
    "the last stage": call(stage=LAST),
    "the first stage": call(stage=-LAST - 1),
    "a function of 10 MB": call("server." + "f" * LARGE),
    "a server of 10 MB": call("s" * LARGE + ".absent"),
    "a function in colours, of two lines": call("server.\x1b[31mred\x07\u202e\nb"),
    "a function that fails": call("server.fail"),
    "a function that gives no bytes": call("server.text"),
    "a function that exits": call("server.leave"),
}
#: Messages that are odd, and answered all the same.
STRANGE = {
    "10 MB of payload": (call(payload=b"a" * LARGE), b"a" * LARGE),
    "no payload": (call(payload=b""), b""),
    "a client of 1 MB": (call() + chunk(2, "bad" * 300_000), b"cba"),
    "200,000 steps": (call("server.turn " * 200_000), b"cba"),
    "fields that come twice": (call("server.absent", payload=b"x") + call(), b"cba"),
    "the wrong types": (
        number(2, 9) + chunk(3, b"x") + varint(4 << 3 | 1) + bytes(8) + call(),
        b"cba",
    ),
    "a number longer than it need be": (call() + b"\x18" + b"\x80" * 9 + b"\0", b"cba"),
    "an error before anything failed": (call() + chunk(536870910, chunk(4, "planted")), b"cba"),
    "a stamp of somebody's": (call() + stamp(7, 6, 5), b"cba"),
    "a stamp of nobody's": (call() + stamp(0, 0, 0), b"cba"),
    "a stamp out of all measure": (call() + stamp(2**64 - 1, 2**64 - 1, 2**64 - 1), b"cba"),
    "a stamp beyond the largest clock": (call() + stamp(1, 1, 2**63), b"cba"),
    "two stamps": (call() + stamp(1, 2, 3) + stamp(4, 5, 6), b"cba"),
    "a stamp within the payload": (call(payload=stamp(1, 2, 3)), stamp(1, 2, 3)[::-1]),
}


@pytest.fixture(scope="module", params=[False, True], ids=["unheard", "recorded"])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    with besieged(recorded=request.param) as house:
        yield house


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: f"{case.where}: {case.what}")
def test_it_is_told_once_or_answered_and_nobody_else_suffers(house: House, case: Case) -> None:
    place = house.places[case.where]
    place.bystander.ask(3)
    place.send.send_multipart([*place.envelope, *case.frames])
    place.bystander.ask(3)
    lines = [house.lines.queue.get(timeout=5) for _ in range(case.lines)]
    answers = place.answers
    if case.answer is not None:
        assert answers is not None
        data = answers.recv_multipart()[-1]
        while place.bystander.answers is answers and decode(data).get(2) == b"bystander":
            place.bystander.answered += 1
            data = answers.recv_multipart()[-1]
        bare = case.where in ("cache", "rep")
        assert (data if bare else decode(data).get(6, b"")) == case.answer
    place.bystander.listen()
    house.settle()
    while not house.lines.queue.empty():
        lines.append(house.lines.queue.get())
    told = [record.getMessage() for record in lines]
    assert len(told) == case.lines, told
    for record, text in zip(lines, told, strict=True):
        assert record.levelno in (logging.WARNING, logging.ERROR)
        assert text.startswith(("server.", "server ", "server:", "worker"))
        assert text.isprintable()
        assert len(text) <= LINE
    assert [getattr(actor, "reason", None) for actor in house.running] == [None] * len(
        house.running
    )


def test_the_bystanders_have_every_answer(house: House) -> None:
    for bystander in house.bystanders:
        while bystander.asked < 1000:
            bystander.ask(50)
            bystander.listen()
        assert bystander.answered == bystander.asked >= 1000
    for recorder in house.recorders:
        found = [one.sentence for one in recorder.trace.check() if one.name == "failures"]
        assert found == []


def test_a_client_tells_of_what_is_no_answer_and_has_its_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Peers() as peers:
        pub, publishes = peers.bind(zmq.XPUB)
        pull, pulls = peers.bind(zmq.PULL)
        client = Client("old", "tcp://127.0.0.1:9", pulls, publishes, this_config=True, timeout=10)
        topic = client.uuid.encode()
        answers: list[bytes] = []
        asks = threading.Thread(
            target=lambda: answers.extend(client.job("old.foo", [b"x"] * 3, messages=3))
        )
        with client, caplog.at_level(logging.INFO, "pylm_lab"):
            asks.start()
            while not pub.recv().startswith(b"\1\xffready:"):
                pass
            pub.send_multipart([b"\xffready:" + topic, b""])
            for n in range(3):
                asked = pull.recv()
                for data in NO_MESSAGE.values():
                    pub.send_multipart([topic, data])
                pub.send_multipart([topic + b"0", asked])
                pub.send_multipart([topic, encode(pipeline="another", payload=b"not mine")])
                pub.send_multipart([topic, asked + chunk(6, b"%d" % n)])
            asks.join(10)
    assert answers == [b"0", b"1", b"2"]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3 * len(NO_MESSAGE)
    assert all(text.endswith("are no PALM message") for text in told)
