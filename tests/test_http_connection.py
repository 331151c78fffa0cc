"""HttpConnection: what a web server answers, or does not, as the feedback of a message."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zmq
from web import MESSAGE, Server, post, says, wait_for

import pylm_lab as lab
from pylm_lab import Recorder
from pylm_lab.errors import WiringError
from pylm_lab.faults import delay, drop, duplicate
from pylm_lab.parts.connections import HttpConnection
from pylm_lab.parts.http import connection
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import HttpService, PullService
from pylm_lab.remote.server import DebugServer
from pylm_lab.scenarios.web import Answering, build_web_master
from pylm_lab.trace import Trace


def http_of(server: ServerTemplate) -> HttpService:
    part = server.inbound_components["Http"]
    assert isinstance(part, HttpService)
    return part


@contextmanager
def asking(url: str, **options: Any) -> Iterator[tuple[HttpService, Recorder]]:
    """A server that hands on over HTTP what it is asked over HTTP, and answers the feedback."""
    recorder = Recorder()
    server = ServerTemplate(name="server").attach(recorder)
    server.register_inbound(HttpService, "Http", route="Web", block=True)
    server.register_outbound(HttpConnection, "Web", url, **options)
    with server:
        yield http_of(server), recorder


def checked(recorder: Recorder) -> Trace:
    assert recorder.trace.check() == []
    return recorder.trace


def test_the_answer_of_the_web_server_is_the_feedback() -> None:
    with Server(says(b"fed back")) as web, asking(web.url) as (service, recorder):
        assert [post(service.url) for _ in range(3)] == [(200, b"fed back")] * 3
        assert len(web.lines) == 1  # over one connection
    assert [PalmMessage.FromString(body).payload for body in web.bodies] == [b"x"] * 3
    trace = checked(recorder)
    out = [hop for hop in trace.hops if hop.source == "server.Web" and hop.kind == "message"]
    back = [hop for hop in trace.hops if hop.target == "server.Web" and hop.kind == "answer"]
    assert len(out) == len(back) == 3


def failed(found: tuple[int, bytes]) -> tuple[str, str]:
    assert found[0] == 200
    message = PalmMessage.FromString(found[1])
    assert (message.payload, message.function) == (b"0", "server.foo")
    assert (message.error.server, message.error.function) == ("server.Web", "server.foo")
    return message.error.kind, message.error.text


def test_another_status_is_a_failed_message_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with Server(says(b"no way\n", "500 Oops")) as web, asking(web.url) as (service, recorder):
        assert failed(post(service.url)) == ("HTTP 500", "no way")
        assert failed(post(service.url)) == ("HTTP 500", "no way")
    checked(recorder)
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == [
        f"server.Web: {web.url.removesuffix('/some/path')}: HTTP 500: no way"
    ] * 2


def test_a_server_that_refuses_is_a_failed_message_and_a_named_drop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    with asking(url) as (service, recorder):
        assert failed(post(service.url))[0] == "ConnectionRefusedError"
    trace = checked(recorder)
    lost = [trace.events[hop.dropped].text for hop in trace.hops if hop.dropped is not None]
    assert len(lost) == 1
    assert lost[0].startswith(url)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, "TimeoutError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "TimeoutError"),
        (b"nonsense\r\n\r\n", "BadStatusLine"),
    ],
    ids=["silent", "cut short", "no http"],
)
def test_a_server_that_does_not_answer_is_a_failed_message(answer: bytes | None, kind: str) -> None:
    with Server(answer) as web, asking(web.url, timeout=0.2) as (service, recorder):
        assert failed(post(service.url))[0] == kind
        web.answer = says(b"well again")
        assert post(service.url) == (200, b"well again")
    checked(recorder)


def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    with Server(says(b"fine")) as web, asking(web.url) as (service, recorder):
        assert post(service.url) == (200, b"fine")
        web.lines[0].shutdown(socket.SHUT_RDWR)
        wait_for(lambda: web.lines[0].fileno() < 0)
        assert post(service.url) == (200, b"fine")
    checked(recorder)


def test_without_reply_as_many_are_on_their_way_as_it_has_workers() -> None:
    recorder = Recorder()
    server = ServerTemplate(name="server").attach(recorder)
    heard: list[bytes] = []
    server.register_inbound(HttpService, "Http", route="Web")
    with Server(None) as web:
        server.register_outbound(
            HttpConnection,
            "Web",
            web.url,
            reply=False,
            max_workers=2,
            handle_feedback=heard.append,
        )
        with server:
            for _ in range(4):
                assert post(http_of(server).url) == (200, b"1")
            wait_for(lambda: len(web.bodies) == 2)
            web.answer = says(b"done")
            for line in list(web.lines):
                line.sendall(says(b"late"))
            wait_for(lambda: len(heard) == 4)
    assert sorted(heard) == [b"done", b"done", b"late", b"late"]
    checked(recorder)


def test_a_stop_does_not_wait_for_a_web_server_that_says_nothing() -> None:
    with Server(None) as web:
        server = ServerTemplate(name="server")
        server.register_inbound(PullService, "Pull", "inproc://http.pull", route="Web")
        server.register_outbound(HttpConnection, "Web", web.url)
        with server, server.context.socket(zmq.PUSH) as push:
            push.connect("inproc://http.pull")
            push.send(MESSAGE)
            wait_for(lambda: web.bodies)
            begun = time.monotonic()
            assert server.stop()
            assert time.monotonic() - begun < 2
            assert not [t.name for t in threading.enumerate() if "caller" in t.name]


@pytest.mark.parametrize(
    "url", ["", "here:80", "ftp://here", "ftp://a:1", "tcp://a:1", "http://", "http://a:b"]
)
def test_what_is_no_url_is_one_clear_error(url: str) -> None:
    server = ServerTemplate(name="server")
    server.register_outbound(HttpConnection, "Web", url)
    with pytest.raises(WiringError, match=r"Web connects to nowhere|no URL of a web server"):
        server.launch()


def test_what_has_to_be_answered_can_not_come_twice() -> None:
    with lab.Cluster() as cluster:
        worker = cluster.add(DebugServer("", 0, Answering, name="worker1"))
        cluster.add(build_web_master(worker.url))
        cluster.client("server")
        with pytest.raises(WiringError, match="worker1 has to answer each question"):
            cluster.inject(duplicate("Http->worker1"))


def test_an_answer_that_is_lost_or_comes_twice_or_late_is_that_of_its_own_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "LATE", 0.1)
    for fault in (drop, duplicate, delay):
        with lab.Cluster(faults=[fault("worker1->Http", nth=2)]) as cluster:
            worker = cluster.add(DebugServer("", 0, Answering, name="worker1"))
            server = build_web_master(worker.url)
            http = server.outbound_components["Http"]
            assert isinstance(http, HttpConnection)
            http.timeout = 0.2
            cluster.add(server)
            client = cluster.client("server", errors="return", timeout=10)
            asked = [b"%d" % number for number in range(4)]
            found = list(client.job("server.foo", asked, messages=4))
        wanted = [b"worker1 processed " + payload for payload in asked]
        if fault is not duplicate:
            wanted[1] = b"0"
        assert found == wanted
