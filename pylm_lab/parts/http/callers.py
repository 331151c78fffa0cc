"""Callers: a fixed number of threads that ask a web server, each over a connection of its own.

1. A request is sent once: whether it arrived, nobody can tell, so nothing is tried again. A
   connection that the server has closed in the meantime is replaced before it is used.
2. Whatever goes wrong is told to the port, and the thread goes on.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import zmq
from zmq.backend import zmq_poll

from pylm_lab.parts.http.front import BINARY
from pylm_lab.parts.http.port import FAILED, HttpPort
from pylm_lab.parts.http.urls import place

__all__ = ["Callers", "Palm", "Request", "Speech", "UnansweredError"]

#: Seconds that a connection may take to be made.
CONNECTING = 5.0
#: Seconds that a request under way may take when its port ends.
LEAVING = 0.3
#: Bytes that an answer may have.
LARGEST = 256 * 1024 * 1024
_IN = int(zmq.POLLIN)


class UnansweredError(Exception):
    """What came is no answer of the one who was asked: somebody on the way has refused it."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Request(NamedTuple):
    """What is asked for."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]


class Speech(Protocol):
    """How what crosses the port is said over HTTP."""

    def request(self, data: bytes) -> Request:
        """What to ask for."""

    def answer(self, data: bytes, status: int, headers: Mapping[str, str], body: bytes) -> bytes:
        """What to hand back to the port as the answer to `data`.

        Raises:
            UnansweredError: nothing.
        """


class Palm:
    """A message is the body of a POST, and the body of the answer is the feedback."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def request(self, data: bytes) -> Request:
        """A POST to the path of the URL."""
        return Request("POST", self._path, data, {"Content-Type": BINARY})

    def answer(self, data: bytes, status: int, headers: Mapping[str, str], body: bytes) -> bytes:
        """The body."""
        return body


class Callers:
    """Threads that ask the web server at `url` for what the port sends them.

    The port sends `caller, number, message`; the caller answers as `Answer` reads it.
    """

    def __init__(
        self, port: HttpPort, url: str, count: int, timeout: float | None, speech: Speech
    ) -> None:
        self.url = place(url)
        #: The names of the callers.
        self.names = [f"{number}".encode() for number in range(1, count + 1)]
        self._callers = [
            _Caller(port, name, self.url, timeout, speech, self) for name in self.names
        ]
        self.ending = False
        for caller in self._callers:
            caller.thread.start()

    def close(self) -> None:
        """End the threads; a request that is under way is given up soon."""
        self.ending = True
        for caller in self._callers:
            caller.thread.join(LEAVING / len(self._callers))
        for caller in self._callers:
            caller.hang_up()
        for caller in self._callers:
            caller.thread.join(LEAVING)


class _Caller:
    def __init__(
        self,
        port: HttpPort,
        name: bytes,
        url: str,
        timeout: float | None,
        speech: Speech,
        group: Callers,
    ) -> None:
        self._speech = speech
        self._timeout = timeout
        self._url = url
        self._group = group
        self._bell = port.bell
        # Connected here, so that the port knows of it when it sends for the first time.
        self._socket = port.owner_context.socket(zmq.DEALER)
        self._socket.routing_id = name
        self._socket.linger = 0
        self._socket.connect(port.inner)
        parts = urlsplit(url)
        assert parts.hostname is not None
        wait = CONNECTING if timeout is None else min(timeout, CONNECTING)
        self._line: http.client.HTTPConnection
        if parts.scheme == "https":
            self._line = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=wait, context=ssl.create_default_context()
            )
        else:
            self._line = http.client.HTTPConnection(parts.hostname, parts.port, timeout=wait)
        self.thread = threading.Thread(
            target=self._run, name=f"{port.id}.caller {name.decode()}", daemon=True
        )

    def _run(self) -> None:
        try:
            with self._socket:
                self._serve()
        except zmq.ContextTerminated:
            pass
        finally:
            self._line.close()

    def _serve(self) -> None:
        wanted: list[tuple[Any, int]] = [(self._socket, _IN), (self._bell, _IN)]
        while not self._group.ending:
            zmq_poll(wanted, -1)
            try:
                number, data = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return  # the bell
            answer = self._ask(data)
            if not self._group.ending:
                self._socket.send_multipart([number, *answer])

    def _ask(self, data: bytes) -> list[bytes]:
        line = self._line
        try:
            method, path, body, headers = self._speech.request(data)
            self._connect()
            line.request(method, path, body, dict(headers))
            response = line.getresponse()
            found = response.read(LARGEST + 1)
            if len(found) > LARGEST:
                raise http.client.HTTPException(f"its answer has more than {LARGEST} bytes")
            found = self._speech.answer(data, response.status, dict(response.headers), found)
        except UnansweredError as error:
            return [FAILED, error.kind.encode(), str(error).encode()]
        except Exception as error:  # noqa: BLE001 - whatever it is, the port waits to hear of it
            line.close()
            why = str(error) or type(error).__name__
            if isinstance(error, TimeoutError):
                why = f"no answer within {self._timeout:g} s" if line.timeout else "timed out"
            return [FAILED, type(error).__name__.encode(), why.encode()]
        return [str(response.status).encode(), found]

    def _connect(self) -> None:
        """Have a connection that the server has not closed."""
        line = self._line
        if line.sock is not None and zmq_poll([(line.sock.fileno(), _IN)], 0):
            line.close()  # it says something that nobody has asked for: that it ends
        begun = time.monotonic()
        if line.sock is None:
            line.connect()
        made: socket.socket = line.sock
        left = self._timeout
        if left is not None:
            left = max(0.01, left - (time.monotonic() - begun))
        made.settimeout(left)

    def hang_up(self) -> None:
        """End a request that is under way, from another thread."""
        sock = self._line.sock
        if sock is not None and self.thread.is_alive():
            with suppress(OSError):  # it has ended in the meantime
                sock.shutdown(socket.SHUT_RDWR)
