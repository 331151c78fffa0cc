"""HttpService on the wire: every status, every kind of bad client, an end that leaves nothing."""

from __future__ import annotations

import http.client
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import zmq
from web import LONG, MESSAGE, head, place, post, raw, to_the_end, wait_for

from pylm_lab import Recorder
from pylm_lab.errors import AddressError, WiringError
from pylm_lab.parts.core import Outbound
from pylm_lab.parts.http.limits import Limits
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import HttpService, PushService


@contextmanager
def a_service(**options: Any) -> Iterator[HttpService]:
    """A server with an HTTP service, whose messages go nowhere."""
    server = ServerTemplate(name="server")
    server.register_inbound(HttpService, "Http", **options)
    with server:
        yield http_of(server)


def http_of(server: ServerTemplate) -> HttpService:
    part = server.inbound_components["Http"]
    assert isinstance(part, HttpService)
    return part


# Statuses


def test_a_message_is_acknowledged() -> None:
    with a_service() as service:
        assert post(service.url) == (200, b"1")


class Answering(PushService):
    """An outbound part whose feedback is a message."""

    def deliver(self, message: PalmMessage, frames: list[bytes]) -> None:
        self._feedback = b"fed back: " + message.payload


def a_blocking_server(**options: Any) -> ServerTemplate:
    server = ServerTemplate(name="server")
    server.register_inbound(HttpService, "Http", route="Out", block=True, **options)
    server.register_outbound(Answering, "Out", "inproc://nobody")
    server.outbound_components["Out"].parses = True  # type: ignore[misc]
    return server


def test_registered_with_block_the_answer_is_the_feedback() -> None:
    with a_blocking_server() as server:
        assert post(http_of(server).url) == (200, b"fed back: x")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_what_is_no_post_is_405_and_told_what_is_possible(method: str) -> None:
    with a_service() as service:
        line = http.client.HTTPConnection(*place(service.url), timeout=LONG)
        line.request(method, "/", MESSAGE)
        answer = line.getresponse()
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        line.close()


def test_what_is_no_message_is_400_and_reaches_no_part() -> None:
    recorder = Recorder()
    server = ServerTemplate(name="server").attach(recorder)
    server.register_inbound(HttpService, "Http")
    with server:
        status, text = post(http_of(server).url, b"\xff\xff")
        assert (status, text) == (400, b"2 bytes are no PALM message\n")
    assert recorder.trace.hops == ()


def test_a_post_of_no_length_is_411() -> None:
    with a_service() as service:
        found = raw(service.url, b"POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 411 Length Required")


def test_a_body_in_chunks_is_taken() -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n"
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(MESSAGE), MESSAGE)
    with a_service() as service:
        found = raw(service.url, chunked, b"Connection: close\r\n\r\n", body)
        assert found.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_413_and_is_not_read(chunked: bool) -> None:
    with a_service(limits=Limits(largest=1000)) as service:
        if chunked:
            said = b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
            said += b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n"
        else:
            said = head(10**12)
        told = raw(service.url, said)
        assert told.startswith(b"HTTP/1.1 413 Request Entity Too Large")
        assert b"more than 1000 bytes" in told
        assert b"1001" not in told
        assert post(service.url)[0] == 200


@pytest.mark.parametrize("length", ["-1", "abc", "1.5", "99999999999999999999999999"])
def test_a_length_that_is_none_is_an_error_answer(length: str) -> None:
    with a_service() as service:
        found = raw(service.url, head(length), MESSAGE)
        assert found.split()[1] in (b"400", b"413")
        assert post(service.url)[0] == 200


def test_a_body_longer_than_it_says_is_one_message_and_a_bad_request() -> None:
    with a_service() as service:
        found = raw(service.url, head(), MESSAGE, b"and more\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 200 OK")
        assert b"HTTP/1.0 400 Bad Request" in found


@pytest.mark.parametrize(
    "said",
    [b"\x16\x03\x01\x02\0", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\n: x\r\n\r\n", b"\0" * 99],
    ids=["tls", "no path", "no name", "zeros"],
)
def test_what_is_no_http_hurts_nobody(said: bytes) -> None:
    with a_service() as service:
        assert b"200" not in raw(service.url, said, half_closes=True)
        assert post(service.url)[0] == 200


class Silent(Outbound):
    """An outbound part whose pair takes its time."""

    may = threading.Event()

    def deliver(self, message: PalmMessage, frames: list[bytes]) -> None:
        self.may.wait(LONG)


@contextmanager
def a_silent_server(**options: Any) -> Iterator[HttpService]:
    """A server that answers when `Silent.may` is set."""
    server = ServerTemplate(name="server")
    server.register_inbound(HttpService, "Http", route="Out", block=True, **options)
    server.register_outbound(
        Silent, "Out", "inproc://nobody", socket_type=zmq.PUSH, reply=False, bind=True
    )
    Silent.may.clear()
    with server:
        try:
            yield http_of(server)
        finally:
            Silent.may.set()


def test_no_answer_in_time_is_504_and_the_next_one_is_answered() -> None:
    with a_silent_server(timeout=0.2) as service:
        assert post(service.url) == (504, b"no answer within 0.2 s\n")
        Silent.may.set()
        wait_for(lambda: post(service.url)[0] == 200)


# Slow and strange clients


def test_a_connection_is_kept_for_the_next_request() -> None:
    with a_service() as service:
        line = http.client.HTTPConnection(*place(service.url), timeout=LONG)
        line.connect()
        made = line.sock
        for _ in range(5):
            line.request("POST", "/", MESSAGE)
            assert line.getresponse().read() == b"1"
        assert line.sock is made
        line.close()


def test_a_client_that_trickles_is_closed_and_costs_no_thread() -> None:
    with a_service(limits=Limits(threads=1, patience=0.2)) as service, ExitStack() as lines:
        slow = [
            lines.enter_context(socket.create_connection(place(service.url), timeout=LONG))
            for _ in range(5)
        ]
        for line in slow:
            line.sendall(head()[:20])
        assert post(service.url)[0] == 200  # past all of them
        assert [to_the_end(line) for line in slow] == [b""] * 5


def test_a_client_that_goes_on_trickling_is_closed_all_the_same() -> None:
    with a_service(limits=Limits(patience=0.3)) as service:
        line = socket.create_connection(place(service.url), timeout=0.05)
        line.sendall(head(1000))
        until = time.monotonic() + LONG
        open_ = True
        while open_:
            assert time.monotonic() < until, "it was never closed"
            try:
                line.sendall(b"x")
                open_ = line.recv(10) != b""
            except TimeoutError:
                pass
            except ConnectionError:
                open_ = False
        line.close()


def test_half_closed_after_the_request_gets_its_answer() -> None:
    with a_service() as service:
        found = raw(service.url, head(), MESSAGE, half_closes=True)
        assert found.startswith(b"HTTP/1.1 200 OK")


def test_half_closed_within_the_request_is_closed() -> None:
    with a_service() as service:
        assert raw(service.url, head(), MESSAGE[:3], half_closes=True) == b""
        assert post(service.url)[0] == 200


@pytest.mark.timeout(60)
def test_a_thousand_clients_wait_in_line_for_a_few_threads(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = Limits(threads=4, connections=300)
    bare = threading.active_count()
    with a_silent_server(limits=limits, timeout=30) as service, ExitStack() as stack:
        before = threading.active_count()
        assert before - bare == 4 + 4  # and the router, two parts, and who reads and writes
        ready = selectors.DefaultSelector()
        stack.callback(ready.close)
        for _ in range(1000):
            line = stack.enter_context(socket.create_connection(place(service.url), timeout=LONG))
            line.sendall(head(len(MESSAGE), "POST", "Connection: close") + MESSAGE)
            ready.register(line, selectors.EVENT_READ)
        assert threading.active_count() == before
        Silent.may.set()
        answers: list[bytes] = []
        while len(answers) < 1000:
            found = ready.select(LONG)
            assert found, f"{len(answers)} were answered, and no more"
            for key, _ in found:
                ready.unregister(key.fileobj)
                answers.append(to_the_end(key.fileobj))  # type: ignore[arg-type]
        assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer in answers)
        assert threading.active_count() == before
    assert not [one for one in caplog.records if one.levelname != "INFO"]


# Beginning and end


def test_it_listens_on_the_loopback_unless_told() -> None:
    with a_service() as service:
        assert service.url.startswith("http://127.0.0.1:")


def test_a_port_that_is_taken_is_one_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(AddressError, match=rf"server\.Http:listen_to .*{number}.*another port"):
            a_service(port=number).__enter__()


@pytest.mark.parametrize("wrong", [{"port": 70000}, {"port": "80"}, {"hostname": "http://here"}])
def test_where_it_can_not_listen_is_said_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(WiringError, match=next(iter(wrong))):
        HttpService("Http", **wrong)


def test_it_starts_again_at_the_same_port() -> None:
    server = ServerTemplate(name="server")
    server.register_inbound(HttpService, "Http")
    with server:
        number = place(http_of(server).url)[1]
    again = ServerTemplate(name="server")
    again.register_inbound(HttpService, "Http", port=number)
    for _ in range(3):
        with again:
            assert post(http_of(again).url)[0] == 200


def test_debug_answers_one_request_and_ends() -> None:
    service = HttpService("Http", "", 0, broker_address="inproc://http.debug")
    with a_router("inproc://http.debug", service.context):
        told: list[tuple[int, bytes]] = []

        def ask() -> None:
            wait_for(lambda: not service.url.endswith(":0"))
            told.append(post(service.url))

        asking = threading.Thread(target=ask)
        asking.start()
        service.debug()
        asking.join(LONG)
    assert told == [(200, b"1")]
    assert not service.is_open


@contextmanager
def a_router(address: str, context: Any) -> Iterator[None]:
    """A bare REP in place of the router."""
    with context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.bind(address)

        def serve() -> None:
            if router.poll(int(LONG * 1000)):
                name, empty, _ = router.recv_multipart()
                router.send_multipart([name, empty, b"1"])

        serving = threading.Thread(target=serve)
        serving.start()
        yield
        serving.join(LONG)


def test_a_stop_ends_all_with_connections_open_and_a_request_under_way() -> None:
    with ExitStack() as lines:
        with a_silent_server() as service:
            url = service.url

            def connect() -> socket.socket:
                return lines.enter_context(socket.create_connection(place(url), timeout=LONG))

            idle, slow, asking = connect(), connect(), connect()
            slow.sendall(head()[:10])
            asking.sendall(head() + MESSAGE)
            wait_for(lambda: service._credit == 0)
            threading.Timer(0.1, Silent.may.set).start()
            begun = time.monotonic()
        assert time.monotonic() - begun < 2
        assert [to_the_end(line) for line in (idle, slow)] == [b"", b""]
        assert to_the_end(asking).split()[1] in (b"200", b"503")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place(url), timeout=1)
