"""HttpGateway: makes messages of web requests, and answers of messages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import zmq
from google.protobuf.message import DecodeError

from pylm_lab import wire
from pylm_lab.arguments import count, seconds
from pylm_lab.parts.bypass import BypassInbound
from pylm_lab.parts.http.front import Front, RefusedError, Reply
from pylm_lab.parts.http.limits import USUAL, Limits
from pylm_lab.parts.http.port import HttpPort, Side
from pylm_lab.parts.http.service import listen
from pylm_lab.parts.http.urls import where
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.part import read
from pylm_lab.persistence.kv import DictDB
from pylm_lab.port import Port

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

__all__ = ["MEETING", "ROUTER", "STAMP", "HttpGateway", "read_header", "write_header"]

Context = zmq.Context[zmq.Socket[bytes]]

#: Where gateways meet their router that were built by hand, and what that is called in a server.
MEETING, ROUTER = "inproc://gateway_router", "gateway_router"
#: What a request without a body asks with.
NO_PAYLOAD = b"No Payload"
#: The header that carries a stamp, while somebody records: three numbers.
STAMP = "Palm-Trace"
#: That header's name in a WSGI environment.
_STAMP = "HTTP_PALM_TRACE"
#: Requests that a gateway remembers after their answer is too late; the oldest is forgotten first.
REMEMBERED = 1000
#: How a function is named to a server whose name was not said.
ANY = "_"
#: The kinds of error that say that there is no such thing to ask for.
_ABSENT = ("UnknownFunction", "WrongServer")


class HttpGateway(BypassInbound):
    """Makes messages of web requests, and answers of messages.

    `GET /server.foo` calls `foo` of `server`, with the body as its payload, or `No Payload`; POST
    does the same. `GET /foo` names no server: it asks for `_.foo`, which workers do not look at.
    Only the first element of the path counts. The payload of the answer is sent as text/plain.

    Args:
        listen_address: of the gateway router.
        hostname, port: where it listens; see `HttpService`.
        timeout: seconds that an answer may take; then the client gets 504. None: any time.
        limits: what clients may ask for.

    It answers 404 (an empty path, a function that nobody has), 405 (neither GET nor POST), 411 and
    413 (as `HttpService`), 500 (a function that failed: its kind and text), 502 (what came is no
    answer), 503 (it ends) and 504.
    """

    binds, blocking, socket = True, True, "HTTP"
    beside = ROUTER

    def __init__(
        self,
        name: str = "",
        listen_address: str = MEETING,
        hostname: str = "",
        port: int = 8888,
        cache: Any = None,
        logger: Any = None,
        *,
        timeout: float | None = 30.0,
        limits: Limits = USUAL,
        messages: int = sys.maxsize,
        context: Context | None = None,
    ) -> None:
        self.hostname = hostname
        self.port = port
        self.timeout = seconds("timeout", timeout)
        self.limits = limits
        super().__init__(
            name or "HttpGateway",
            listen_address,
            zmq.REQ,
            reply=True,
            bind=False,
            logger=logger,
            cache=DictDB() if cache is None else cache,
            messages=count("messages", messages, "how many messages to end after", least=0),
            context=context,
        )
        self.http = HttpPort(
            self,
            "http",
            zmq.ROUTER,
            side=self._listen,
            binds=True,
            receives="message",
            sends="message",
            address=where(hostname, port),
        )
        self.ports.append(self.http)
        #: A socket for each request → who waits for the answer.
        self._asked: dict[Port, bytes] = {}

    def directions(self) -> dict[str, Any]:
        return {"sends": "message", "receives": "message"}

    def _listen(self, port: HttpPort) -> Side:
        front = GatewayFront(port, self.timeout)
        return listen(port, self.hostname, self.port, front, self.limits)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.http.address

    def outside(self) -> Iterator[tuple[Port, str]]:
        yield self.listen_to, self.listen_address
        yield self.http, where(self.hostname, self.port)

    def open_ports(self) -> None:
        # The port to the gateway router has a socket for each request, and none without.
        self.http.open(self.context, router_mandatory=1)

    def run(self) -> None:
        self._asked.clear()
        answered = asked = 0
        while answered < self.messages:
            ports = (self.http, *self._asked) if asked < self.messages else tuple(self._asked)
            port, frames = self.next(ports)
            if port is self.http:
                asked += 1
                self._ask(frames)
            else:
                answered += 1
                self._answer(port, frames)

    def _ask(self, frames: list[bytes]) -> None:
        message = read(self.http, frames)
        if message is None:
            return
        message.client = message.pipeline = self.ids.text()
        port = _Asking(self, self.listen_to)
        port.open(self.context, routing_id=message.client.encode(), linger=0)
        self._asked[port] = frames[0]
        self.emit(port, [message.SerializeToString()])
        if len(self._asked) > REMEMBERED:
            self._forget(next(iter(self._asked)), "it was forgotten, since nothing came for long")

    def _answer(self, port: Port, frames: list[bytes]) -> None:
        who = self._asked[port]
        try:
            self.emit(self.http, [who, b"", frames[-1]])
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            late = "" if self.timeout is None else f" (it was told 504 after {self.timeout:g} s)"
            port.drop(frames, f"the web client waits for it no longer{late}")
            self.logger.warning("%s: an answer came too late for its web client", self.id)
        self._forget(port, "it has its answer")

    def _forget(self, port: Port, cause: str) -> None:
        del self._asked[port]
        port.sweep(cause)
        port.close()

    def ended(self) -> None:
        self.http.shut()
        for port in list(self._asked):
            self._forget(port, f"{self.name} ended before it received it")

    def debug(self) -> None:
        """Answer one request, and end: to be called in place of `start`."""
        before, self.messages = self.messages, 1
        try:
            self.start()
        finally:
            self.messages = before


class _Asking(Port):
    """The socket of one request: at the same port as all others."""

    def __init__(self, owner: HttpGateway, like: Port) -> None:
        super().__init__(
            owner,
            like.name,
            zmq.REQ,
            binds=False,
            sends=like.sends,
            receives=like.receives,
            address=like.address,
        )
        self._declared = like.declared


class GatewayFront(Front):
    """Makes a message of a web request, and an answer of one."""

    methods = ("GET", "POST")

    def read(self, environ: WSGIEnvironment) -> bytes:
        body = self.body(environ)
        # WSGI gives the bytes of a path as if they were Latin-1.
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        name = path.lstrip("/").partition("/")[0]
        if not name:
            raise RefusedError(HTTPStatus.NOT_FOUND, "say which function to call: /server.function")
        message = PalmMessage(
            function=name if "." in name else f"{ANY}.{name}", payload=body or NO_PAYLOAD
        )
        data = message.SerializeToString()
        stamp = read_header(environ.get(_STAMP, ""))
        return data if stamp is None else wire.write_stamp(data, stamp)

    def tell(self, answer: list[bytes], environ: WSGIEnvironment) -> Reply:
        try:
            message = PalmMessage.FromString(answer[-1])
        except DecodeError:
            return Reply(HTTPStatus.BAD_GATEWAY, b"the answer is no PALM message\n")
        stamp = wire.read_stamp(answer[-1]) if _STAMP in environ else None
        headers = () if stamp is None else ((STAMP, write_header(stamp)),)
        if not message.HasField("error"):
            return Reply(HTTPStatus.OK, message.payload, "text/plain", headers)
        error = message.error
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        if error.kind in _ABSENT:
            status = HTTPStatus.NOT_FOUND
        text = f"{error.kind}: {error.text}\n".encode()
        return Reply(status, text, headers=headers)


def write_header(stamp: wire.Stamp) -> str:
    """A stamp as the value of a header."""
    return "-".join(f"{number:016x}" for number in stamp)


def read_header(value: str) -> wire.Stamp | None:
    """The stamp in the value of a header; None: there is none."""
    parts = value.split("-")
    try:
        numbers = [int(part, 16) for part in parts]
    except ValueError:
        return None
    if len(numbers) != 3 or not all(0 <= number < 1 << 64 for number in numbers):
        return None
    return wire.Stamp(*numbers)
