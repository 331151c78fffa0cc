"""A worker that speaks HTTP: its functions behind any WSGI server.

1. A message comes as the body of a POST, and goes back as the body of the answer.
2. A function that fails answers 500 and one line of text, which has no traceback in it: that is
   logged. The next request finds everything as it was.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

import zmq
from google.protobuf.message import DecodeError

from pylm_lab.actor import Actor
from pylm_lab.arguments import count, seconds
from pylm_lab.errors import WiringError
from pylm_lab.functions import Functions
from pylm_lab.loop import Wait
from pylm_lab.parts.core import zmq_context
from pylm_lab.parts.http.front import BINARY, TEXT, Front, RefusedError, Reply, read_body, respond
from pylm_lab.parts.http.limits import USUAL, Limits
from pylm_lab.parts.http.port import HttpPort, Side
from pylm_lab.parts.http.service import listen
from pylm_lab.parts.http.urls import where
from pylm_lab.parts.messages_pb2 import PalmMessage

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["DebugServer", "RequestHandler", "WSGIApplication"]

Context = zmq.Context[zmq.Socket[bytes]]


class RequestHandler(Functions, machinery=True):
    """Does what one request asks for: `server.foo` calls `foo(payload)`, which returns bytes.

    Derive from it, and define functions. Only those can be called, and `echo`. `message` is the
    message at hand, `environ` the WSGI environment of its request.
    """

    def __init__(self, environ: WSGIEnvironment) -> None:
        super().__init__()
        self.environ = environ
        #: Who it is in a log line, and in the error of a failed function.
        self.id = type(self).__name__
        self.logger: Any = logging.getLogger(f"pylm_lab.{self.id}")
        self.gate = None

    def handle(self) -> tuple[HTTPStatus, bytes]:
        """Do it; returns the status (an integer, with a phrase) and the body of the answer.

        That is 200 and a message, or one line of text: 400 (no message), 405 (no POST), 411 (of no
        length), 500 (the function failed, or there is none).
        """
        if self.environ["REQUEST_METHOD"] != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED, b"only POST is possible here\n"
        try:
            message = PalmMessage.FromString(read_body(self.environ))
        except RefusedError as refused:
            return refused.reply.status, refused.reply.body
        except DecodeError:
            self.logger.error("%s: a request is no PALM message", self.id)
            return HTTPStatus.BAD_REQUEST, b"the body is no PALM message\n"
        earlier = PalmMessage()  # what has failed at an earlier step has not failed here
        if message.HasField("error"):
            earlier.error.CopyFrom(message.error)
            message.ClearField("error")
        answer = next(self.answers(message))
        if answer.HasField("error"):
            error = answer.error
            return HTTPStatus.INTERNAL_SERVER_ERROR, f"{error.kind}: {error.text}\n".encode()
        answer.MergeFrom(earlier)
        return HTTPStatus.OK, answer.SerializeToString()


class WSGIApplication:
    """What a WSGI server calls: each request is done by a handler of its own.

    Args:
        handler: a class derived from `RequestHandler`.
    """

    def __init__(self, handler: type[RequestHandler]) -> None:
        self.handler = _handler(handler)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, body = self.handler(environ).handle()
        headers = (("Allow", "POST"),) if status is HTTPStatus.METHOD_NOT_ALLOWED else ()
        kind = BINARY if status is HTTPStatus.OK else TEXT
        return respond(Reply(status, body, kind, headers), start_response)


def _handler(given: object) -> type[RequestHandler]:
    if isinstance(given, WSGIApplication):
        return given.handler
    if isinstance(given, type) and issubclass(given, RequestHandler):
        return given
    raise WiringError(f"handler={given!r}: give a class that is derived from RequestHandler")


class DebugServer(Actor):
    """A web server for a handler, in this process: one request at a time.

    `start` runs it here until it is ended, `launch` in a thread of its own; in a cluster
    (`cluster.add`) it is a worker like any other.

    Args:
        host: where it listens; empty: 127.0.0.1, which is reached from this machine alone.
        port: the number of the port; 0: a free one, which `url` tells once it is open.
        handler: a class derived from `RequestHandler`, or a `WSGIApplication`.
        name: its name; that of the handler if empty.
        messages: end after that many.
        timeout: seconds that an answer may take; then the client gets 504. None: any time.
        limits: what clients may ask for.
    """

    role = "worker"
    precise = True

    def __init__(
        self,
        host: str,
        port: int,
        handler: type[RequestHandler] | WSGIApplication,
        *,
        name: str = "",
        messages: int = sys.maxsize,
        timeout: float | None = 30.0,
        limits: Limits = USUAL,
        context: Context | None = None,
    ) -> None:
        self.handler = _handler(handler)
        super().__init__(name or self.handler.__name__, context=context or zmq_context)
        self.host = host
        self.port = port
        self.messages = count("messages", messages, "how many messages to end after", least=0)
        self.timeout = seconds("timeout", timeout)
        self.limits = limits
        self._works: RequestHandler | None = None
        self.http = HttpPort(
            self,
            "http",
            zmq.REP,
            side=self._listen,
            binds=True,
            receives="message",
            sends="answer",
            address=where(host, port),
        )
        self.ports.append(self.http)

    def _listen(self, port: HttpPort) -> Side:
        return listen(port, self.host, self.port, Front(port, self.timeout), self.limits)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.http.address

    def open_ports(self) -> None:
        self.http.address = where(self.host, self.port)
        super().open_ports()

    def run(self) -> None:
        for _ in range(self.messages):
            _, frames = self.next((self.http,))
            environ: WSGIEnvironment = {
                "REQUEST_METHOD": "POST",
                "CONTENT_LENGTH": str(len(frames[-1])),
                "wsgi.input": io.BytesIO(frames[-1]),
            }
            setup_testing_defaults(environ)
            status, body = self._handle(environ)
            self.emit(self.http, [str(status.value).encode(), body])

    def _handle(self, environ: WSGIEnvironment) -> tuple[HTTPStatus, bytes]:
        try:
            self._works = works = self.handler(environ)
            works.id, works.logger = self.id, self.logger
            return works.handle()
        except (Exception, SystemExit):
            # A handler of the user's own may fail as a whole; the next one is another.
            self.logger.exception("%s: the handler failed", self.id)
            return HTTPStatus.INTERNAL_SERVER_ERROR, b"the handler failed\n"
        finally:
            self._works = None

    def waiting(self) -> Wait | None:
        """For what it waits now: also for a function of its handler's to return."""
        works, found = self._works, super().waiting()
        if works is None or found is not None:
            return found
        return works.working(self.id)

    def serve_forever(self) -> None:
        """Run until ended, in this thread."""
        self.start()

    def ended(self) -> None:
        self.http.shut()
