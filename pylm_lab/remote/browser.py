"""Browser: whoever asks a gateway over HTTP, as an actor whose requests are recorded."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Self
from urllib.parse import quote

import zmq

from pylm_lab import wire
from pylm_lab.actor import DEADLINE, Actor, Run
from pylm_lab.arguments import seconds
from pylm_lab.errors import FunctionError, NoAnswer, PayloadError, RunError
from pylm_lab.parts.core import zmq_context
from pylm_lab.parts.http.callers import Callers, Request, UnansweredError
from pylm_lab.parts.http.connection import LATE
from pylm_lab.parts.http.gateway import STAMP, read_header, write_header
from pylm_lab.parts.http.port import Answer, HttpPort, Side
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.schedule import Stopped

__all__ = ["Browser"]

Context = zmq.Context[zmq.Socket[bytes]]

#: The status of a request that came as far as the gateway's port, and no further.
_ARRIVED = ("HTTP 504",)


class Browser(Actor):
    """A web client of a gateway. It asks in the thread that calls it, and is open at once.

    Args:
        url: where the gateway listens.
        name: its name.
        timeout: seconds that it waits for an answer; None: as long as it takes.
        run: the cluster's run that it takes part in.
    """

    role = "client"
    originates = True
    precise = True

    def __init__(
        self,
        url: str,
        *,
        name: str = "browser",
        server: str = "",
        timeout: float | None = 30.0,
        run: Run | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(name, context=context or zmq_context)
        self.serves = server
        self.timeout = seconds("timeout", timeout)
        self._number = 0
        #: Held while a call waits; whoever closes the sockets takes it first.
        self._waits = threading.RLock()
        self.http = HttpPort(
            self,
            "http",
            zmq.ROUTER,
            side=self._call,
            binds=False,
            sends="message",
            receives="message",
            address=url,
        )
        self.ports.append(self.http)
        if run is not None:
            self.enter(run)
        self.open()
        self.http.can_receive()  # now it knows its caller

    def _call(self, port: HttpPort) -> Side:
        return Callers(port, port.address, 1, self.timeout, _Gateway())

    def open_ports(self) -> None:
        self.http.open(self.context, router_mandatory=1)

    def get(self, function: str, payload: bytes = b"") -> bytes:
        """Ask for `/function`, with the payload as the body; returns the body of the answer.

        Raises:
            PayloadError: the payload is not bytes.
            FunctionError: it was answered with another status than 200.
            NoAnswer: there was no answer.
            RunError: it is closed.
        """
        if not isinstance(payload, bytes):
            raise PayloadError(f"the payload is {type(payload).__name__}, not bytes")
        message = PalmMessage(function=function, payload=payload)
        with self._waits:
            if not self.is_open:
                raise RunError(f"{self.id} is closed: make a new one")
            self._number += 1
            frames = [b"1", b"%d" % self._number, message.SerializeToString()]
            try:
                self.emit(self.http, frames)
                answer = self._answer(frames[1])
            except Stopped:
                raise RunError(f"{self.id} was stopped while a call waited") from None
            kind, text = answer.failed, answer.text
            if answer.came:
                payload = PalmMessage.FromString(answer.body).payload
                if not kind:
                    return payload
                text = payload.decode(errors="backslashreplace").strip()
            elif kind not in _ARRIVED:
                self.http.drop(frames, f"{self.http.address}: {text}")
        if kind.startswith("HTTP ") and kind not in ("HTTP 503", *_ARRIVED):
            raise FunctionError(self.serves or self.http.address, function, kind, text)
        raise NoAnswer(f"{self.id} asked {self.http.address} for {function}: {kind}: {text}")

    def _answer(self, number: bytes) -> Answer:
        """The answer to the question of that number; what answers an earlier one is dropped."""
        late = None if self.timeout is None else self.timeout + LATE
        while True:
            frames = self.next((self.http,), None, late)[1]
            answer = Answer.of(frames)
            if answer.number == number:
                return answer
            if answer.came:
                self.http.drop(frames, "it answers an earlier question")

    def close(self, linger: float = DEADLINE) -> None:
        """Close it; a second time does nothing."""
        self.stop()  # a call that waits in another thread ends with an error
        with self._waits:
            self.cleanup(linger)

    def launch(self) -> None:
        """A browser runs nothing by itself: call `get`."""
        raise RunError(f"{self.id} runs nothing by itself: call get")

    def start(self) -> bytes:
        """A browser runs nothing by itself: call `get`."""
        self.launch()
        return b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Gateway:
    """How a browser's message is said to a gateway, and the answer."""

    def request(self, data: bytes) -> Request:
        """A POST of the payload to the path of the function, with the stamp in a header."""
        message = PalmMessage.FromString(data)
        stamp = wire.read_stamp(data)
        headers = {"Content-Type": "text/plain"}
        if stamp is not None:
            headers[STAMP] = write_header(stamp)
        return Request("POST", "/" + quote(message.function, safe=""), message.payload, headers)

    def answer(self, data: bytes, status: int, headers: Mapping[str, str], body: bytes) -> bytes:
        """The message that was sent, with the answer as its payload."""
        stamp = read_header(headers.get(STAMP, ""))
        if wire.read_stamp(data) is not None and stamp is None:
            raise UnansweredError(f"HTTP {status}", body.decode(errors="backslashreplace"))
        message = PalmMessage.FromString(wire.strip_stamp(data))
        message.payload = body
        found = message.SerializeToString()
        return found if stamp is None else wire.write_stamp(found, stamp)
