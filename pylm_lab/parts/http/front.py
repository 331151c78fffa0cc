"""Front: the web application in front of an HTTP port: what it takes, and what it answers.

1. A request that is none of the port's never reaches it: it is answered here, by its status and
   one line of text.
2. No answer has a traceback, a path or a version in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from google.protobuf.message import DecodeError

from pylm_lab.parts.http.port import EndedError, HttpPort
from pylm_lab.parts.messages_pb2 import PalmMessage

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["BINARY", "Front", "RefusedError", "Reply", "respond"]

BINARY = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"
#: What a fault leaves of a request: see `port.NOTHING`.
_LOST = b"\xfflost"


class Reply(NamedTuple):
    """What is answered to a request."""

    status: HTTPStatus
    body: bytes
    kind: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


class RefusedError(Exception):
    """A request that does not reach the port."""

    def __init__(self, status: HTTPStatus, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.reply = Reply(status, f"{text}\n".encode(), TEXT, headers)


def respond(reply: Reply, start_response: StartResponse) -> Iterable[bytes]:
    """Answer, as WSGI wants it."""
    headers = [
        ("Content-Type", reply.kind),
        ("Content-Length", str(len(reply.body))),
        # Whatever a user's function gives, no browser runs it.
        ("X-Content-Type-Options", "nosniff"),
        *reply.headers,
    ]
    start_response(f"{reply.status.value} {reply.status.phrase}", headers)
    return [reply.body]


class Front:
    """A WSGI application that hands PALM messages to a port, and its answers back.

    `timeout` is how long, in seconds, the port may take.
    """

    methods: ClassVar[tuple[str, ...]] = ("POST",)

    def __init__(self, port: HttpPort, timeout: float | None) -> None:
        self.port = port
        self.timeout = timeout

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            reply = self.tell(self._exchange(self.read(environ)), environ)
        except RefusedError as refused:
            reply = refused.reply
        return respond(reply, start_response)

    def _exchange(self, data: bytes) -> list[bytes]:
        try:
            answer = self.port.exchange([data], self.timeout)
        except EndedError:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "the server ends") from None
        if answer is None or answer[0] == _LOST:
            late = "" if self.timeout is None else f" within {self.timeout:g} s"
            raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, f"no answer{late}")
        return answer

    def read(self, environ: WSGIEnvironment) -> bytes:
        """The message in a request.

        Raises:
            RefusedError: there is none.
        """
        data = self.body(environ)
        try:
            PalmMessage.FromString(data)
        except DecodeError:
            text = f"{len(data)} bytes are no PALM message"
            raise RefusedError(HTTPStatus.BAD_REQUEST, text) from None
        return data

    def body(self, environ: WSGIEnvironment) -> bytes:
        """The body of a request whose method is one of ours.

        Raises:
            RefusedError: it is none, or the request does not say how long it is.
        """
        method = environ["REQUEST_METHOD"]
        if method not in self.methods:
            known = ", ".join(self.methods)
            text = f"{method} is not possible here: {known}"
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, text, ("Allow", known))
        return read_body(environ)

    def tell(self, answer: list[bytes], environ: WSGIEnvironment) -> Reply:
        """What is answered: the port's last frame, with the status in the one before, if any."""
        if len(answer) == 1:
            return Reply(HTTPStatus.OK, answer[0], BINARY)
        status = HTTPStatus(int(answer[0]))
        return Reply(status, answer[-1], BINARY if status is HTTPStatus.OK else TEXT)


def read_body(environ: dict[str, Any]) -> bytes:
    """The body of a request.

    Raises:
        RefusedError: it is to have one, and does not say how long; or it is not as long as it says.
    """
    told = environ.get("CONTENT_LENGTH") or ""
    if not told:
        if environ["REQUEST_METHOD"] == "POST":
            raise RefusedError(
                HTTPStatus.LENGTH_REQUIRED, "say how long the body is: Content-Length"
            )
        return b""
    try:
        size = int(told)
        if size < 0:
            raise ValueError
    except ValueError:
        text = f"Content-Length: {told!r} is no length"
        raise RefusedError(HTTPStatus.BAD_REQUEST, text) from None
    data: bytes = environ["wsgi.input"].read(size)
    if len(data) != size:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{len(data)} bytes came of {size}")
    return data
