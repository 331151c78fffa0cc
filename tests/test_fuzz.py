"""Anything at all, sent to every socket: whoever else asks is answered, and nobody ends."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import zmq
from besieged import House, Lines, ShopWorker, address, besieged
from foreign import chunk, encode, number, stamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web import post, raw

from pylm_lab.parts.gateways import HttpGateway
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import HttpService
from pylm_lab.scenarios.web import build_gateway

#: Of each of the two runs; 2,000 in all, and 10,000 in the full gate.
EXAMPLES = 1000 * int(os.environ["PYLM_LAB_SCALE"])

NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.sampled_from([-1, 2**63 - 1])
NAMES = st.sampled_from(["turn", "fail", "text", "leave", "__init__", "start", "set", "delete"])
TEXTS = (
    st.text(max_size=20).map(str.encode)
    | NAMES.map(lambda name: b"server." + name.encode())
    | st.binary(max_size=20)
)
FIELDS = st.one_of(
    st.builds(chunk, st.integers(1, 7), TEXTS),
    st.builds(number, st.integers(1, 7), NUMBERS),
    st.builds(number, st.just(3), NUMBERS),
    st.builds(chunk, st.sampled_from([536870910, 536870911, 0, 99]), st.binary(max_size=30)),
    st.builds(stamp, *[st.integers(0, 2**64 - 1)] * 3),
)
MESSAGES = st.lists(FIELDS, max_size=6).map(b"".join)


@st.composite
def torn(draw: st.DrawFn) -> bytes:
    """A message of which a piece is missing, or another."""
    data = draw(MESSAGES)
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(st.binary(max_size=4)) + data[draw(st.integers(at, len(data))) :]


FRAMES = st.lists(MESSAGES | torn() | st.binary(max_size=64), min_size=1, max_size=3)
PLACES = [
    "pull",
    "results",
    "piped",
    "server",
    "pipeline",
    "sink",
    "hub",
    "pipeline:raw",
    "worker",
    "cache",
    "rep",
    "pub",
    "inbound",
    "outbound",
]


class Renewed:
    """A house, and another one after it has failed, so that an example can be made smaller."""

    def __init__(self, *, recorded: bool) -> None:
        self.recorded = recorded
        self.open()

    def open(self) -> None:
        self._context = besieged(recorded=self.recorded)
        self.house: House = self._context.__enter__()

    def close(self) -> None:
        self._context.__exit__(None, None, None)

    def attack(self, where: str, frames: list[bytes]) -> None:
        """Send it; then everybody answers the bystanders, and nothing has ended."""
        house = self.house
        place = house.places[where]
        # A REQ puts an empty frame before what it asks.
        asks = [b""] if where in ("cache", "rep") else []
        place.send.send_multipart([*place.envelope, *asks, *frames])
        house.settle()
        for other in house.places.values():
            if other.answers is not None and other.bystander.answers is not other.answers:
                while other.answers.poll(0):
                    other.answers.recv_multipart(zmq.NOBLOCK)
        while not house.lines.queue.empty():
            record = house.lines.queue.get()
            assert record.levelno < logging.CRITICAL
        assert {getattr(actor, "reason", None) for actor in house.running} == {None}
        assert all(actor.is_running for actor in house.running)


@pytest.fixture(scope="module", params=[False, True], ids=["unheard", "recorded"])
def renewed(request: pytest.FixtureRequest) -> Iterator[Renewed]:
    renewed = Renewed(recorded=request.param)
    yield renewed
    renewed.close()


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(PLACES), FRAMES)
def test_whatever_comes_everybody_else_is_answered(
    renewed: Renewed, where: str, frames: list[bytes]
) -> None:
    try:
        renewed.attack(where, frames)
    except Exception:
        renewed.close()
        renewed.open()
        raise


# Over HTTP

METHODS = st.sampled_from([b"POST", b"GET", b"PUT", b"\xff", b"", b"P OST"])
PATHS = st.sampled_from([b"/", b"/server.turn", b"/turn", b"//", b"/%00%ff", b"/../..", b"*", b""])
LENGTHS = st.integers(-5, 200).map(lambda n: b"%d" % n) | st.sampled_from(
    [b"", b"x", b"1e3", b"99999999999999999999", b"+1", b"1, 1"]
)
HEADERS = st.one_of(
    LENGTHS.map(lambda length: b"Content-Length: " + length),
    st.sampled_from([b"Transfer-Encoding: chunked", b"Connection: close", b"Expect: 100-continue"]),
    st.binary(max_size=20),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request over HTTP, nearly."""
    first = b" ".join([draw(METHODS), draw(PATHS), draw(st.sampled_from([b"HTTP/1.1", b"HTTP/9"]))])
    body = draw(MESSAGES | torn())
    true = draw(st.booleans())
    lines = [b"Content-Length: %d" % len(body)] if true else []
    lines += draw(st.lists(HEADERS, max_size=3))
    return b"\r\n".join([first, b"Host: here", *lines, b"", body])


@pytest.fixture(scope="module")
def web() -> Iterator[dict[str, str]]:
    """The URLs of a service whose messages are acknowledged, and of a master behind a gateway."""
    lines = Lines()
    logger = logging.getLogger("pylm_lab")
    logger.addHandler(lines)
    threads = set(threading.enumerate())
    service = ServerTemplate(name="server")
    service.register_inbound(HttpService, "Http")
    master = build_gateway()
    with ExitStack() as stack:
        for server in (service, master):
            stack.enter_context(server)
        worker = stack.enter_context(ShopWorker("worker", db_address=address(master, "Cache")))
        assert worker.is_ready.wait(5)
        http = service.inbound_components["Http"]
        gateway = master.bypass_components["HttpGateway"]
        assert isinstance(http, HttpService)
        assert isinstance(gateway, HttpGateway)
        # Every connection between them is there before the first test.
        asked = b"GET /server.turn HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
        assert raw(gateway.url, asked).endswith(b"daolyaP oN")
        yield {"service": http.url, "gateway": gateway.url}
        assert service.reason is master.reason is worker.reason is None
    logger.removeHandler(lines)
    assert all(record.levelno < logging.CRITICAL for record in lines.queue.queue)
    assert set(threading.enumerate()) <= threads


@settings(max_examples=EXAMPLES // 2, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["service", "gateway"]), requests() | st.binary(max_size=64))
def test_whatever_comes_over_http_is_answered_or_closed(
    web: dict[str, str], where: str, said: bytes
) -> None:
    answer = raw(web[where], said, half_closes=True)
    assert not answer or answer.startswith(b"HTTP/1.")
    assert b"Traceback" not in answer
    assert post(web["service"], encode(client="bystander", payload=b"x")) == (200, b"1")
