"""A worker behind HTTP: under any WSGI server, under its own, and in a cluster."""

from __future__ import annotations

import io
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator

import pytest
from web import LONG, post, raw, wait_for

import pylm_lab as lab
from pylm_lab.errors import FunctionError, RunError, WiringError
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.remote.server import DebugServer, RequestHandler, WSGIApplication
from pylm_lab.scenarios.web import build_web_master


class Shop(RequestHandler):
    """Functions of every kind."""

    def foo(self, payload: bytes) -> bytes:
        return b"foo of " + payload

    def bad(self, payload: bytes) -> bytes:
        raise ValueError("no")

    def exits(self, payload: bytes) -> bytes:
        raise SystemExit(1)

    def text(self, payload: bytes) -> Any:
        return "text"

    def asked(self, payload: bytes) -> bytes:
        return json.dumps([self.message.function, self.environ["REQUEST_METHOD"]]).encode()


def message(function: str = "server.foo", payload: bytes = b"x") -> bytes:
    return PalmMessage(
        pipeline="p", function=function, payload=payload, cache="c"
    ).SerializeToString()


def environ(body: bytes, method: str = "POST", length: str | None = None) -> dict[str, Any]:
    told = str(len(body)) if length is None else length
    return {"REQUEST_METHOD": method, "CONTENT_LENGTH": told, "wsgi.input": io.BytesIO(body)}


# The handler


def test_a_message_comes_back_with_another_payload_and_all_else_as_it_was() -> None:
    unknown = b"\xea\x04\x03new"  # field 77, which nobody knows
    status, body = Shop(environ(message() + unknown)).handle()
    assert status == 200
    assert body == message(payload=b"foo of x") + unknown


def test_what_has_failed_at_an_earlier_step_is_handed_on_and_is_no_failure_here() -> None:
    came = PalmMessage.FromString(message("first.bad server.foo"))
    came.stage = 1
    came.error.kind = "ValueError"
    status, body = Shop(environ(came.SerializeToString())).handle()
    answer = PalmMessage.FromString(body)
    assert (status, answer.payload, answer.error.kind) == (200, b"foo of x", "ValueError")
    came.function = "first.bad server.bad"
    assert Shop(environ(came.SerializeToString())).handle() == (500, b"ValueError: no\n")


def test_the_message_and_the_request_are_at_hand() -> None:
    _, body = Shop(environ(message("server.asked"))).handle()
    assert json.loads(PalmMessage.FromString(body).payload) == ["server.asked", "POST"]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("server.bad", b"ValueError: no\n"),
        ("server.exits", b"SystemExit: 1\n"),
        ("server.text", b"TypeError: text returned str, not bytes\n"),
        ("server.nothing", b"UnknownFunction: it has no function 'nothing'"),
        ("server.handle", b"UnknownFunction: it has no function 'handle'"),
        ("server.__init__", b"UnknownFunction: it has no function '__init__'"),
        ("", b"UnknownFunction: the message names no function"),
    ],
)
def test_a_failed_function_is_500_and_one_line(function: str, text: bytes) -> None:
    status, body = Shop(environ(message(function))).handle()
    assert status == 500
    assert body.startswith(text)
    assert body.count(b"\n") == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (environ(message(), "GET"), 405),
        (environ(b"\xff\xff"), 400),
        (environ(message(), length="many"), 400),
        (environ(message(), length="1000"), 400),
        (environ(message(), length=""), 411),
    ],
)
def test_what_can_not_be_done_has_its_status(request_: dict[str, Any], status: int) -> None:
    assert Shop(request_).handle()[0] == status


# Under a WSGI server


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def under_wsgiref() -> Iterator[str]:
    with make_server("127.0.0.1", 0, validator(WSGIApplication(Shop)), WSGIServer, Quiet) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join(LONG)


@contextmanager
def under_its_own() -> Iterator[str]:
    with DebugServer("", 0, Shop) as server:
        yield server.url


@pytest.mark.parametrize("running", [under_wsgiref, under_its_own])
def test_it_answers_under_any_server(running: Any) -> None:
    with running() as url:
        status, body = post(url, message())
        assert (status, PalmMessage.FromString(body).payload) == (200, b"foo of x")
        assert post(url, message("server.bad")) == (500, b"ValueError: no\n")
        assert post(url, b"\xff\xff")[0] == 400
        assert post(url, b"", "GET")[0] == 405
        assert post(url, message("server.echo"))[0] == 200


def test_its_own_server_is_clean_on_the_wire() -> None:
    with DebugServer("", 0, WSGIApplication(Shop)) as server:
        said = b"POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
        assert raw(server.url, said).startswith(b"HTTP/1.1 411")


@pytest.mark.parametrize("error", [RuntimeError("all of it"), SystemExit(1)])
def test_a_handler_that_fails_as_a_whole_is_500_and_the_next_one_works(
    error: BaseException,
) -> None:
    class Frail(Shop):
        fails: ClassVar = [True]

        def handle(self) -> Any:
            if self.fails.pop():
                raise error
            return super().handle()

    with DebugServer("", 0, Frail) as server:
        assert post(server.url, message()) == (500, b"the handler failed\n")
        Frail.fails = [False]
        assert post(server.url, message())[0] == 200


def test_it_ends_after_its_messages() -> None:
    server = DebugServer("", 0, Shop, messages=2)
    with server:
        assert [post(server.url, message())[0] for _ in range(2)] == [200, 200]
        wait_for(lambda: not server.is_running)


def test_what_is_no_handler_is_one_clear_error() -> None:
    with pytest.raises(WiringError, match="derived from RequestHandler"):
        DebugServer("", 0, object)  # type: ignore[arg-type]


# In a cluster


def test_the_scenario_is_recorded_from_the_client_to_the_web_worker_and_back() -> None:
    trace = lab.scenarios["http"].run(messages=3)
    assert trace.check() == []
    roles = {actor.id: actor.role for actor in trace.actors}
    assert roles["worker1"] == "worker"
    way = ["client", "server.Pull", "server.router", "server.Http", "worker1"]
    back = ["server.router", "server.Pub", "client"]
    messages = {hop.message for hop in trace.hops_of("message")}
    assert len(messages) == 3
    for one in messages:
        hops = [hop for hop in trace.hops_of("message") if hop.message == one]
        assert [(hop.source, hop.target) for hop in hops] == [
            *itertools.pairwise(way),
            *itertools.pairwise(back),
        ]
    answers = [hop for hop in trace.hops_of("answer") if hop.source == "worker1"]
    assert [hop.target for hop in answers] == ["server.Http"] * 3


def test_a_function_that_fails_over_http_reaches_the_client_as_its_error() -> None:
    with lab.Cluster() as cluster:
        worker = cluster.add(DebugServer("", 0, Shop, name="worker1"))
        cluster.add(build_web_master(worker.url))
        client = cluster.client("server", errors="return", timeout=LONG)
        found = list(client.job(["server.bad"], [b"x"], messages=1))
        assert found == [b"0"]
        assert client.eval("server.foo", b"x") == b"foo of x"
        strict = cluster.client("server", timeout=LONG)
        with pytest.raises(FunctionError, match="HTTP 500: ValueError: no"):
            strict.eval("server.bad", b"x")
    assert cluster.trace.check() == []


def test_a_web_worker_that_ends_is_an_error_of_its_messages_alone() -> None:
    with lab.Cluster() as cluster:
        worker = cluster.add(DebugServer("", 0, Shop, messages=1))
        cluster.add(build_web_master(worker.url))
        client = cluster.client("server", errors="return", timeout=LONG)
        assert client.eval("server.foo", b"x") == b"foo of x"
        wait_for(lambda: not worker.is_running)
        assert client.eval("server.foo", b"x") == b"0"
    assert cluster.trace.check() == []


def test_a_web_worker_takes_part_once_and_only_in_a_free_run() -> None:
    with lab.Cluster() as cluster:
        worker = cluster.add(DebugServer("", 0, Shop))
        with pytest.raises(RunError, match="open already"):
            cluster.add(worker)
    with lab.Cluster(seed=1) as cluster, pytest.raises(WiringError, match="Shop speaks HTTP"):
        cluster.add(DebugServer("", 0, Shop))


def test_a_function_that_never_returns_is_named_and_its_server_listens_no_longer() -> None:
    may = threading.Event()

    class Slow(RequestHandler):
        def foo(self, payload: bytes) -> bytes:
            may.wait(LONG)
            return payload

    with lab.Cluster() as cluster:
        worker = cluster.add(DebugServer("", 0, Slow, name="worker1"))
        asking = threading.Thread(target=post, args=(worker.url, message()))
        asking.start()
        wait_for(lambda: worker.waiting() is not None and "foo to return" in str(worker.waiting()))
        assert cluster.stop(0.3) is False
        with pytest.raises(ConnectionRefusedError):
            post(worker.url, message())
        asking.join(LONG)
        may.set()
        assert worker.join(LONG)


def test_both_spellings_of_this_machine_are_one_link() -> None:
    with lab.Cluster() as cluster:
        worker = cluster.add(DebugServer("", 0, Shop, name="worker1"))
        cluster.add(build_web_master(worker.url.replace("127.0.0.1", "localhost")))
        assert cluster.client("server", timeout=LONG).eval("server.foo", b"x") == b"foo of x"
    assert [hop.source for hop in cluster.trace.hops if hop.target == "worker1"] == ["server.Http"]
    assert cluster.trace.check() == []
