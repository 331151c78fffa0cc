"""Web clients and a web server by hand, which say on the wire what no library would."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any
from urllib.parse import urlsplit

from pylm_lab.parts.messages_pb2 import PalmMessage

__all__ = ["LONG", "MESSAGE", "Server", "head", "place", "post", "raw", "says", "to_the_end"]
__all__ += ["wait_for"]

MESSAGE = PalmMessage(function="server.foo", payload=b"x").SerializeToString()
#: Seconds that a test waits for what has to come.
LONG = 10.0


def place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def post(url: str, body: bytes = MESSAGE, method: str = "POST") -> tuple[int, bytes]:
    line = http.client.HTTPConnection(*place(url), timeout=LONG)
    try:
        line.request(method, "/", body)
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


def raw(url: str, *said: bytes, half_closes: bool = False) -> bytes:
    """Say this; returns all that comes until the server closes the connection."""
    with socket.create_connection(place(url), timeout=LONG) as line:
        for part in said:
            line.sendall(part)
        if half_closes:
            line.shutdown(socket.SHUT_WR)
        return to_the_end(line)


def to_the_end(line: socket.socket) -> bytes:
    found = b""
    try:
        while data := line.recv(65536):
            found += data
    except ConnectionError:
        pass  # closed with something unread: that is an end, too
    return found


def head(length: object = len(MESSAGE), method: str = "POST", *more: str) -> bytes:
    lines = [f"{method} / HTTP/1.1", "Host: here", f"Content-Length: {length}", *more, "", ""]
    return "\r\n".join(lines).encode()


def wait_for(true: Callable[[], Any]) -> None:
    """Look until it is so."""
    until = time.monotonic() + LONG
    look = threading.Event()
    while not true():
        assert time.monotonic() < until, "it never was"
        look.wait(0.01)


class Server(AbstractContextManager["Server"]):
    """A web server by hand: says `answer` to each request, and keeps the bodies."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.bodies: list[bytes] = []
        self._ears = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._ears.getsockname()[1]}/some/path"
        self.lines: list[socket.socket] = []
        self._ending = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            line = self._ears.accept()[0]
            if self._ending:
                line.close()
                return
            self.lines.append(line)
            self._threads.append(threading.Thread(target=self._serve, args=(line,)))
            self._threads[-1].start()

    def _serve(self, line: socket.socket) -> None:
        try:
            with line, line.makefile("rb") as said:
                while said.readline():
                    length = 0
                    while (field := said.readline()) not in (b"\r\n", b""):
                        if field.lower().startswith(b"content-length:"):
                            length = int(field.split(b":")[1])
                    self.bodies.append(said.read(length))
                    if self.answer is not None:
                        line.sendall(self.answer)
        except OSError:
            pass

    def __exit__(self, *_: object) -> None:
        self._ending = True
        socket.create_connection(self._ears.getsockname()).close()
        self._threads[0].join(LONG)
        self._ears.close()
        for line in self.lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LONG)


def says(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
