"""Line: the bare socket of a port. Frames go out and come in; nothing waits, and nobody is told."""

from __future__ import annotations

import time
from operator import length_hint
from typing import Any, NoReturn

import zmq
from zmq.backend import Socket as RawSocket

from pylm_lab.errors import RunError

__all__ = ["Line"]

_NOBLOCK = int(zmq.NOBLOCK)
_MORE = _NOBLOCK | int(zmq.SNDMORE)
_EVENTS = int(zmq.EVENTS)
_RCVMORE = int(zmq.RCVMORE)


class Line:
    """What a port does with its socket."""

    def __init__(self, frames: int) -> None:
        #: Number of frames of whatever comes in, where that is agreed; 0: unknown. What is pulled
        #: has one: should somebody push several at once, each is a message.
        self.frames = frames
        self._let_go()

    def _hold(self, socket: zmq.Socket[bytes]) -> None:
        # The methods of pyzmq's base class: half the time of a send is checks that we don't need.
        self._recv: Any = RawSocket.recv.__get__(socket)
        self._send: Any = RawSocket.send.__get__(socket)
        self._get: Any = RawSocket.get.__get__(socket)

    def _let_go(self) -> None:
        self._recv = self._send = self._get = _closed

    def can_receive(self) -> bool:
        """Something is there. Reading `EVENTS` lets ZeroMQ see what has come by now."""
        return bool(self._get(_EVENTS) & zmq.POLLIN)

    def can_send(self) -> bool:
        """There is room for another message."""
        return bool(self._get(_EVENTS) & zmq.POLLOUT)

    def _put(self, batch: list[list[bytes]]) -> int:
        send, rest = self._send, iter(batch)
        # Written out for the usual counts: this is where the time of the router goes.
        count = len(batch[0])
        try:
            if count == 1:
                for (data,) in rest:
                    send(data, _NOBLOCK)
            elif count == 2:
                for first, data in rest:
                    send(first, _MORE)
                    send(data, _NOBLOCK)
            elif count == 3:
                for first, second, data in rest:
                    send(first, _MORE)
                    send(second, _MORE)
                    send(data, _NOBLOCK)
            else:
                for frames in rest:
                    for frame in frames[:-1]:
                        send(frame, _MORE)
                    send(frames[-1], _NOBLOCK)
        except zmq.ZMQError:
            sent = len(batch) - length_hint(rest) - 1
            if not sent:
                raise
            return sent
        return len(batch)

    def _put_timed(self, batch: list[list[bytes]], times: list[int]) -> int:
        """`_put`, one by one, with the time of each."""
        send, now = self._send, time.monotonic_ns
        try:
            for frames in batch:
                for frame in frames[:-1]:
                    send(frame, _MORE)
                send(frames[-1], _NOBLOCK)
                times.append(now())
        except zmq.ZMQError:
            if not times:
                raise
        return len(times)

    def _take(self) -> list[bytes]:
        recv, count = self._recv, self.frames
        # Written out, as in `_put`.
        if count == 1:
            return [recv(_NOBLOCK)]
        if count == 3:
            return [recv(_NOBLOCK), recv(_NOBLOCK), recv(_NOBLOCK)]
        if count == 2:
            return [recv(_NOBLOCK), recv(_NOBLOCK)]
        # A frame that is not copied would tell whether more follow, and swallow a Ctrl-C that comes
        # while it is freed.
        frames = [recv(_NOBLOCK)]
        while self._get(_RCVMORE):
            frames.append(recv(_NOBLOCK))
        return frames

    def _take_more(self, found: list[list[bytes]], most: int) -> None:
        """`_take`, until there is nothing left."""
        recv, count = self._recv, self.frames
        if count == 1:
            while len(found) < most:
                found.append([recv(_NOBLOCK)])
        elif count == 3:
            while len(found) < most:
                found.append([recv(_NOBLOCK), recv(_NOBLOCK), recv(_NOBLOCK)])
        elif count == 2:
            while len(found) < most:
                found.append([recv(_NOBLOCK), recv(_NOBLOCK)])
        else:
            while len(found) < most:
                found.append(self._take())

    def _take_timed(self, found: list[list[bytes]], times: list[int], most: int) -> None:
        """`_take_more`, one by one, with the time of each."""
        take, now = self._take, time.monotonic_ns
        times.append(now())
        while len(found) < most:
            found.append(take())
            times.append(now())


def _closed(*_: Any) -> NoReturn:
    raise RunError("the port is not open: start its actor first")
