"""What pylm_lab is measured against: the same job done with pyzmq alone.

1. Each is a chain that anybody could write with pyzmq. The one thread uses the same base class's
   calls as pylm_lab, without the checks of `zmq.Socket`: it shows what could be reached at most.
2. A part parses and serialises each message, as a part of pylm_lab may. The proxies can't: they
   show what moving the bytes costs.
"""

from __future__ import annotations

import struct
import threading
from typing import Any

import zmq
from zmq.backend import Socket as RawSocket

from pylm_lab.bench.chain import INTO, OUT, Chain
from pylm_lab.parts.messages_pb2 import PalmMessage

__all__ = ["Lockstep", "OneThread", "Proxies"]

#: Messages that a stage of the one thread takes before the next stage has its turn.
_BATCH = 128
#: Seconds between two questions to the last proxy, how many messages it has sent.
_ASK = 0.0002

_NOBLOCK = int(zmq.NOBLOCK)
_MORE = int(zmq.SNDMORE)

_LEFT = "inproc://router.in"
_RIGHT = "inproc://router.out"


def parsed(data: bytes) -> bytes:
    """The message, parsed and serialised again."""
    return PalmMessage.FromString(data).SerializeToString()


class Lockstep(Chain):
    """What the router was first documented to do: one message at a time in three threads.

    A REQ part, two ROUTERs and a REP part; every message is acknowledged before the next.
    """

    name = "raw lockstep"

    def open(self) -> None:
        self.left = self.socket(zmq.ROUTER, bind=_LEFT)
        self.right = self.socket(zmq.ROUTER, bind=_RIGHT, router_mandatory=1)
        self.pull = self.socket(zmq.PULL, bind=INTO)
        self.push = self.socket(zmq.PUSH, bind=OUT)
        self.req = self.socket(zmq.REQ, connect=_LEFT, routing_id=b"Pull")
        self.rep = self.socket(zmq.REP, connect=_RIGHT, routing_id=b"Push")
        # Looking at its events lets the ROUTER learn who has connected.
        self.right.get(zmq.EVENTS)

    def launch(self) -> None:
        for run in (self._inbound, self._router, self._outbound):
            self.start(run)

    def _inbound(self) -> None:
        pull, req = self.pull, self.req
        for _ in range(self.count):
            req.send(parsed(pull.recv()))
            req.recv()

    def _router(self) -> None:
        left, right = self.left, self.right
        for _ in range(self.count):
            name, empty, data = left.recv_multipart()
            right.send_multipart([b"Push", empty, data])
            right.recv_multipart()
            left.send_multipart([name, empty, b"1"])

    def _outbound(self) -> None:
        push, rep = self.push, self.rep
        for _ in range(self.count):
            push.send(parsed(rep.recv()))
            rep.send(b"1")


class Proxies(Chain):
    """Three of ZeroMQ's own proxies in the place of part, router and part.

    They run in C, without Python's lock, and look into nothing.
    """

    name = "raw zmq.proxy, three in a chain"

    def open(self) -> None:
        self.stages = []
        for into, out in ((INTO, _LEFT), (_LEFT, _RIGHT), (_RIGHT, OUT)):
            back = self.socket(zmq.PUSH, bind=out)
            if into == INTO:
                front = self.socket(zmq.PULL, bind=into)
            else:
                front = self.socket(zmq.PULL, connect=into)
            self.stages.append((front, back))
        # A proxy doesn't know its last message: the last one is asked how many it has sent.
        self.steered = self.socket(zmq.REP, bind="inproc://steered")
        self.asks = self.socket(zmq.REQ, connect="inproc://steered")

    def launch(self) -> None:
        *others, (front, back) = self.stages
        for one, two in others:
            self.start(lambda one=one, two=two: zmq.proxy(one, two))  # type: ignore[misc]
        self.start(lambda: zmq.proxy_steerable(front, back, None, self.steered))

    def wait(self) -> None:
        pause = threading.Event()

        def all_sent(_: float) -> bool:
            self.asks.send(b"STATISTICS")
            # Messages and bytes: received and sent at the front, received and sent at the back.
            (sent,) = struct.unpack("=Q", self.asks.recv_multipart()[6])
            return sent >= self.count or pause.wait(_ASK)

        self.wait_for(all_sent)


def _calls(socket: zmq.Socket[bytes]) -> tuple[Any, Any]:
    """`recv` and `send` of pyzmq's base class."""
    return RawSocket.recv.__get__(socket), RawSocket.send.__get__(socket)


class OneThread(Chain):
    """The sockets of part, router and part in one thread: nobody is ever switched to.

    Each stage takes what has come, without waiting, and hands it to the next. It acknowledges
    nothing: all is queued anyway.
    """

    name = "raw, all in one thread"

    def open(self) -> None:
        self.left = self.socket(zmq.ROUTER, bind=_LEFT)
        self.right = self.socket(zmq.ROUTER, bind=_RIGHT, router_mandatory=1)
        self.pull = self.socket(zmq.PULL, bind=INTO)
        self.push = self.socket(zmq.PUSH, bind=OUT)
        self.inner = self.socket(zmq.DEALER, connect=_LEFT, routing_id=b"Pull")
        self.outer = self.socket(zmq.DEALER, connect=_RIGHT, routing_id=b"Push")
        self.right.get(zmq.EVENTS)

    def launch(self) -> None:
        self.from_pull, self.to_left = _calls(self.pull)[0], _calls(self.inner)[1]
        self.from_left, self.to_right = _calls(self.left)[0], _calls(self.right)[1]
        self.from_right, self.to_push = _calls(self.outer)[0], _calls(self.push)[1]
        self.start(self._run)

    def _run(self) -> None:
        done = 0
        while done < self.count:
            self.pull.poll()
            while self._inbound() | self._router():
                done += self._outbound()
            done += self._outbound()

    def _inbound(self) -> int:
        receive, send = self.from_pull, self.to_left
        for taken in range(_BATCH):
            try:
                data = receive(_NOBLOCK)
            except zmq.Again:
                return taken
            send(b"", _MORE)
            send(parsed(data))
        return _BATCH

    def _router(self) -> int:
        receive, send = self.from_left, self.to_right
        for taken in range(_BATCH):
            try:
                receive(_NOBLOCK)
            except zmq.Again:
                return taken
            send(b"Push", _MORE)
            send(receive(), _MORE)
            send(receive())
        return _BATCH

    def _outbound(self) -> int:
        receive, send = self.from_right, self.to_push
        for taken in range(_BATCH):
            try:
                receive(_NOBLOCK)
            except zmq.Again:
                return taken
            send(parsed(receive()))
        return _BATCH
