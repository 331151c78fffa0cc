"""Gateways: a server that is asked over plain HTTP, and the parts that lead there and back."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zmq
from web import LONG, place, raw, wait_for

import pylm_lab as lab
from pylm_lab.errors import FunctionError, NoAnswer, PayloadError, RunError, WiringError
from pylm_lab.parts.core import zmq_context
from pylm_lab.parts.gateways import GatewayDealer, GatewayRouter, HttpGateway
from pylm_lab.parts.http.limits import Limits
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.scenarios.web import build_gateway


class Shop(lab.Worker):
    """A worker with functions of every kind."""

    may = threading.Event()

    def foo(self, payload: bytes) -> bytes:
        return b"foo of " + payload

    def bad(self, payload: bytes) -> bytes:
        raise ValueError("it is /some/where/secret.txt")

    def slow(self, payload: bytes) -> bytes:
        self.may.wait(LONG)
        return b"at last " + payload


def gateway_of(server: ServerTemplate) -> HttpGateway:
    part = server.bypass_components["HttpGateway"]
    assert isinstance(part, HttpGateway)
    return part


@contextmanager
def a_gateway(**options: Any) -> Iterator[tuple[str, lab.Recorder]]:
    """A master behind HTTP with one worker, recorded; its URL and its record."""
    recorder = lab.Recorder()
    server = build_gateway().attach(recorder)
    gateway = gateway_of(server)
    for name, value in options.items():
        setattr(gateway, name, value)
    Shop.may.clear()
    with server:
        cache = server.bypass_components["Cache"].listen_to.address
        with Shop("worker1", db_address=cache).attach(recorder) as worker:
            assert worker.is_ready.wait(LONG)
            try:
                yield gateway.url, recorder
            finally:
                Shop.may.set()


@contextmanager
def a_cluster(timeout: float = LONG) -> Iterator[lab.Cluster]:
    """The same in a cluster, which has browsers."""
    Shop.may.clear()
    with lab.Cluster() as cluster:
        gateway_of(cluster.add(build_gateway())).timeout = timeout
        cluster.add(Shop("worker1", server="server"))
        try:
            yield cluster
        finally:
            Shop.may.set()


def ask(
    url: str, path: str, body: bytes | None = None, method: str = "GET"
) -> tuple[int, bytes, str]:
    line = http.client.HTTPConnection(*place(url), timeout=LONG)
    try:
        line.request(method, path, body)
        answer = line.getresponse()
        return answer.status, answer.read(), answer.headers["Content-Type"]
    finally:
        line.close()


@pytest.mark.parametrize(
    ("path", "body", "method", "payload"),
    [
        ("/server.foo", None, "GET", b"foo of No Payload"),
        ("/server.foo", b"x", "GET", b"foo of x"),
        ("/server.foo", b"x", "POST", b"foo of x"),
        ("/server.foo", b"", "POST", b"foo of No Payload"),
        ("/foo", b"x", "POST", b"foo of x"),
        ("/foo/and/more?and=more", b"x", "POST", b"foo of x"),
        ("/server%2Efoo", b"x", "POST", b"foo of x"),
        ("//foo", b"x", "POST", b"foo of x"),
        ("/echo", bytes(range(256)), "POST", bytes(range(256))),
    ],
)
def test_a_path_calls_a_function(
    path: str, body: bytes | None, method: str, payload: bytes
) -> None:
    with a_gateway() as (url, recorder):
        assert ask(url, path, body, method) == (200, payload, "text/plain")
    assert recorder.trace.check() == []


@pytest.mark.parametrize("path", ["/", "", "/nothing", "/server.nothing", "/_private", "/start"])
def test_what_is_not_there_is_404(path: str) -> None:
    with a_gateway() as (url, _):
        assert ask(url, path or "/")[0] == 404
        assert ask(url, "/foo")[0] == 200


def test_a_function_without_a_server_is_asked_of_any() -> None:
    seen: list[str] = []

    class Seeing(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            seen.append(self.message.function)
            return payload

    with lab.Cluster() as cluster:
        server = cluster.add(build_gateway())
        cluster.add(Seeing("worker1", server="server"))
        cluster.browser("server")
        ask(gateway_of(server).url, "/foo")
        ask(gateway_of(server).url, "/other.foo")
    assert seen == ["_.foo", "other.foo"]


def test_a_failed_function_is_500_with_its_text_and_neither_path_nor_traceback() -> None:
    with a_gateway() as (url, _):
        status, text, _ = ask(url, "/bad")
        assert (status, text) == (500, b"ValueError: it is secret.txt\n")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD"])
def test_other_methods_are_405(method: str) -> None:
    with a_gateway() as (url, _):
        assert ask(url, "/foo", None, method)[0] == 405


def test_the_limits_of_a_body_hold() -> None:
    with a_gateway(limits=Limits(largest=1000)) as (url, _):
        said = b"POST /foo HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
        assert raw(url, said).startswith(b"HTTP/1.1 411")
        assert ask(url, "/foo", b"x" * 1001, "POST")[0] == 413
        assert ask(url, "/foo", b"x" * 1000, "POST")[0] == 200


def test_many_at_once_each_get_their_own_answer() -> None:
    found: dict[int, bytes] = {}

    with a_gateway() as (url, recorder):

        def some(first: int) -> None:
            for number in range(first, first + 10):
                found[number] = ask(url, "/foo", b"%d" % number, "POST")[1]

        threads = [threading.Thread(target=some, args=(n * 10,)) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONG)
    assert found == {number: b"foo of %d" % number for number in range(100)}
    assert recorder.trace.check() == []


def test_a_late_answer_is_504_dropped_by_name_and_reaches_nobody_else() -> None:
    with a_gateway(timeout=0.2) as (url, recorder):
        assert ask(url, "/slow", b"x", "POST")[:2] == (504, b"no answer within 0.2 s\n")
        Shop.may.set()
        assert [ask(url, "/foo", b"y", "POST")[1] for _ in range(3)] == [b"foo of y"] * 3
    trace = recorder.trace
    assert trace.check() == []
    late = [event.text for event in trace.events if event.what == "drop"]
    assert late == ["the web client waits for it no longer (it was told 504 after 0.2 s)"]


# As actors


def test_the_scenario_is_recorded_from_the_browser_to_the_worker_and_back() -> None:
    trace = lab.scenarios["gateway"].run(messages=3, workers=1)
    assert trace.check() == []
    way = ["browser", "server.HttpGateway", "server.gateway_router", "server.router"]
    way += ["server.WorkerPush", "worker1", "server.WorkerPull", "server.router"]
    way += ["server.gateway_dealer", "server.gateway_router", "server.HttpGateway", "browser"]
    messages = {hop.message for hop in trace.hops_of("message")}
    assert len(messages) == 3
    for message in messages:
        hops = [hop for hop in trace.hops_of("message") if hop.message == message]
        assert [hop.source for hop in hops] + [hops[-1].target] == way
    assert {port.id: port.socket for port in trace.ports}["browser:http"] == "HTTP"


def test_a_browser_tells_what_went_wrong() -> None:
    with a_cluster(timeout=0.3) as cluster:
        browser = cluster.browser(timeout=LONG)
        assert browser.get("foo", b"x") == b"foo of x"
        assert browser.get("foo") == b"foo of No Payload"
        with pytest.raises(FunctionError, match=r"bad failed on server: HTTP 500: ValueError"):
            browser.get("bad")
        with pytest.raises(FunctionError, match="HTTP 404"):
            browser.get("")
        with pytest.raises(PayloadError):
            browser.get("foo", "x")  # type: ignore[arg-type]
        with pytest.raises(NoAnswer, match=r"HTTP 504: no answer within 0\.3 s"):
            browser.get("slow")
        trace = cluster.trace
        assert {trace.events[h.dropped].text for h in trace.hops if h.dropped is not None} == {
            f"{browser.http.address}: say which function to call: /server.function"
        }
        Shop.may.set()
        assert browser.get("foo", b"y") == b"foo of y"
        with pytest.raises(RunError, match="runs nothing by itself"):
            browser.launch()
    with pytest.raises(RunError, match="closed"):
        browser.get("foo")


def test_a_cluster_without_a_gateway_says_so() -> None:
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        with pytest.raises(WiringError, match="'server' has no gateway"):
            cluster.browser()


def test_what_is_controlled_refuses_http_and_names_the_part() -> None:
    with lab.Cluster(seed=1) as cluster:
        cluster.add(build_gateway())
        with pytest.raises(WiringError, match=r"server\.HttpGateway speaks HTTP.*free only"):
            cluster.browser()


def test_a_scenario_with_http_says_why_it_has_no_seed() -> None:
    with pytest.raises(WiringError, match=r"'gateway' speaks HTTP.*free only: without a seed"):
        lab.scenarios["gateway"].run(seed=1)


def test_two_servers_with_gateways_side_by_side_do_not_meet() -> None:
    one, two = build_gateway("one"), build_gateway("one")
    router, dealer = one.inbound_components, one.outbound_components
    with one, two:
        assert router["gateway_router"].listen_to.address != (
            two.inbound_components["gateway_router"].listen_to.address
        )
        assert dealer["gateway_dealer"].listen_to.address == (
            router["gateway_router"].listen_to.address
        )


# By hand, with plain sockets at the other ends


@pytest.fixture
def ends() -> Iterator[Any]:
    """Plain sockets, by type and address."""
    made: list[zmq.Socket[bytes]] = []

    def end(kind: int, address: str, *, binds: bool = False, name: bytes = b"") -> Any:
        socket = zmq_context.socket(kind)
        made.append(socket)
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = int(LONG * 1000)
        if name:
            socket.routing_id = name
        (socket.bind if binds else socket.connect)(address)
        return socket

    yield end
    for socket in made:
        socket.close()


def test_the_gateway_router_speaks_as_documented(ends: Any) -> None:
    broker = ends(zmq.ROUTER, "inproc://gateway.broker", binds=True)
    with GatewayRouter(broker_address="inproc://gateway.broker"):
        asks = ends(zmq.REQ, "inproc://gateway_router", name=b"client1")
        gives = ends(zmq.DEALER, "inproc://gateway_router", name=b"dealer")
        asked = PalmMessage(client="client1", function="server.foo", payload=b"x")
        asks.send(asked.SerializeToString())
        name, empty, data = broker.recv_multipart()
        message = PalmMessage.FromString(data)
        assert (name, empty, message.payload) == (b"gateway_router", b"", b"x")
        assert message.cache  # always
        broker.send_multipart([name, b"", b"1"])
        gives.send_multipart([b"nobody", b"", b"for nobody"])
        gives.send_multipart([b"client1", b"", b"the answer"])
        assert asks.recv_multipart() == [b"the answer"]


def test_the_gateway_dealer_speaks_as_documented(ends: Any) -> None:
    broker = ends(zmq.ROUTER, "inproc://gateway.broker", binds=True)
    meets = ends(zmq.ROUTER, "inproc://gateway_router", binds=True)
    with GatewayDealer(broker_address="inproc://gateway.broker") as dealer:
        assert dealer.name == "gateway_dealer"
        data = PalmMessage(client="client1", payload=b"x").SerializeToString()
        wait_for(lambda: _knows(broker, [b"gateway_dealer", b"", data]))
        assert meets.recv_multipart() == [b"dealer", b"client1", b"", data]
        assert broker.recv_multipart() == [b"gateway_dealer", b"", b"1"]


def _knows(router: Any, frames: list[bytes]) -> bool:
    router.router_mandatory = 1
    try:
        router.send_multipart(frames)
    except zmq.ZMQError:
        return False
    return True


def test_the_gateway_asks_as_documented(ends: Any) -> None:
    router = ends(zmq.ROUTER, "inproc://gateway_router", binds=True)
    with HttpGateway(port=0) as gateway:
        found: list[tuple[int, bytes, str]] = []
        asking = threading.Thread(target=lambda: found.append(ask(gateway.url, "/foo", b"x")))
        asking.start()
        name, empty, data = router.recv_multipart()
        message = PalmMessage.FromString(data)
        assert (empty, message.function, message.payload) == (b"", "_.foo", b"x")
        assert name == message.client.encode()  # a socket of its own for each request
        message.payload = b"answer"
        router.send_multipart([name, b"", message.SerializeToString()])
        asking.join(LONG)
        assert found == [(200, b"answer", "text/plain")]


def test_debug_answers_one_request_and_ends(ends: Any) -> None:
    router = ends(zmq.ROUTER, "inproc://gateway_router", binds=True)
    gateway = HttpGateway(port=0)
    found: list[tuple[int, bytes, str]] = []

    def browse() -> None:
        wait_for(lambda: not gateway.url.endswith(":0"))
        found.append(ask(gateway.url, "/foo", b"x"))

    def answer() -> None:
        router.send_multipart(router.recv_multipart())

    threads = [threading.Thread(target=browse), threading.Thread(target=answer)]
    for thread in threads:
        thread.start()
    gateway.debug()
    for thread in threads:
        thread.join(LONG)
    assert found == [(200, b"x", "text/plain")]
    assert not gateway.is_open


def test_an_answer_that_is_none_is_502(ends: Any) -> None:
    router = ends(zmq.ROUTER, "inproc://gateway_router", binds=True)

    def answer() -> None:
        router.send_multipart([*router.recv_multipart()[:2], b"\xff\xff"])

    with HttpGateway(port=0) as gateway:
        answering = threading.Thread(target=answer)
        answering.start()
        assert ask(gateway.url, "/foo")[0] == 502
        answering.join(LONG)


def test_a_stop_ends_a_browsers_call_and_leaves_nothing() -> None:
    with a_cluster() as cluster:
        browser = cluster.browser(timeout=LONG)
        call = cluster.start(browser.get, "slow")
        wait_for(lambda: any(hop.target == "worker1" for hop in cluster.trace.hops_of("message")))
        later = threading.Timer(0.3, Shop.may.set)
        later.start()
        begun = time.monotonic()
        cluster.stop()
        assert time.monotonic() - begun < 2
        later.join(LONG)
    with pytest.raises(RunError, match="was stopped while a call waited"):
        call.result()


def test_a_browser_that_does_not_wait_gives_its_message_up_by_name() -> None:
    with a_cluster() as cluster:
        browser = cluster.browser(timeout=0.2)
        with pytest.raises(NoAnswer, match=r"TimeoutError: no answer within 0\.2 s"):
            browser.get("slow")
        Shop.may.set()
        assert browser.get("foo", b"y") == b"foo of y"
