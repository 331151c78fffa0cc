"""Chain: what moves messages from one PUSH socket to one PULL socket, and how that is timed.

1. Messages are queued before the clock starts, and the sink is emptied after it has stopped: no
   client's time is in a figure of throughput.
2. What arrives is compared with what was sent, message by message. A chain that loses one, makes
   one up or changes the order has no figure: that is an error.
3. Every chain has a context of its own. Its end leaves no thread and no socket, also when it comes
   too early, and nobody waits without a limit.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import zmq

from pylm_lab.actor import DEADLINE
from pylm_lab.bench.job import Job
from pylm_lab.errors import RunError
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.schedule import SLICE
from pylm_lab.wire import strip_stamp

__all__ = [
    "INTO",
    "OUT",
    "Chain",
    "joined",
    "latencies",
    "messages",
    "throughput",
]

#: Where a chain takes messages, and where it hands them out.
INTO = "inproc://into"
OUT = "inproc://out"
#: Bytes of a payload that make the message 100 bytes long.
_PAYLOAD = 32
#: All of a message but its payload, which is its last field.
_HEAD = PalmMessage(
    pipeline="p" * 16, client="c" * 16, function="server.foo", cache="k" * 16, payload=bytes(32)
).SerializeToString()[:-_PAYLOAD]


def messages(count: int) -> Iterator[bytes]:
    """PALM messages of 100 bytes, each with its number as the payload."""
    for number in range(count):
        yield _HEAD + b"%032d" % number


def joined(thread: threading.Thread) -> Callable[[float], bool]:
    """Whether the thread has ended, after waiting for it a while."""

    def done(seconds: float) -> bool:
        thread.join(seconds)
        return not thread.is_alive()

    return done


class Chain:
    """Moves the messages of a job from `INTO` to `OUT`; the base of what is compared.

    A subclass makes its sockets in `open`, with `socket`, and starts its threads in `launch`, with
    `start`; `wait` returns when the last message has left. Threads find their sockets made: each
    socket is used by one thread at a time.
    """

    name = "chain"

    def __init__(self, job: Job) -> None:
        self.job = job
        self.count = job.count
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._ends: list[zmq.Socket[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def open(self) -> None:
        """Make and bind every socket."""
        raise NotImplementedError

    def launch(self) -> None:
        """Begin to move messages."""
        raise NotImplementedError

    def wait(self) -> None:
        """Return as soon as the last message has been handed out: the last thread has ended."""
        self.wait_for(joined(self._threads[-1]))

    def wait_for(self, done: Callable[[float], bool]) -> None:
        """Wait until that is done which is the end of the chain's work."""
        self.job.wait_for(done, self.job.patience, f"{self.name} did not end")

    def verify(self) -> None:
        """Raise what has gone wrong unseen."""
        if self._failure is not None:
            raise RunError(f"{self.name} failed: {self._failure}") from self._failure

    def stop(self) -> None:
        """End what the base class knows nothing of; the sockets of both ends are closed."""

    def socket(
        self, kind: int, *, bind: str = "", connect: str = "", **options: int | bytes
    ) -> zmq.Socket[bytes]:
        """A socket without a high-water mark, so that all messages can be queued beforehand."""
        made = self.context.socket(kind)
        self._sockets.append(made)
        made.sndhwm = made.rcvhwm = 0
        for option, value in options.items():
            setattr(made, option, value)
        if bind:
            made.bind(bind)
        if connect:
            made.connect(connect)
        return made

    def start(self, run: Callable[[], Any]) -> None:
        """Run this in a thread, until it returns or the context ends."""

        def work() -> None:
            try:
                run()
            except zmq.ContextTerminated:
                pass
            except (zmq.ZMQError, ValueError) as error:
                self._failure = error

        thread = threading.Thread(target=work, name=f"bench.{self.name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def ends(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        """The sockets of the client: one to send into the chain, one to receive from it."""
        source = self.socket(zmq.PUSH, connect=INTO)
        sink = self.socket(zmq.PULL, connect=OUT, rcvtimeo=int(SLICE * 1000))
        self._ends = [source, sink]
        return source, sink

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Without its clients nothing that is stopped has anybody left to send to.
        for socket in self._ends:
            socket.close(linger=0)
        self.stop()
        # Whoever waits at a socket hears the end of the context; then nobody uses one any more.
        ending = threading.Thread(target=self.context.term, name="bench.term", daemon=True)
        ending.start()
        for thread in self._threads:
            thread.join(DEADLINE)
        if not any(thread.is_alive() for thread in self._threads):
            for socket in self._sockets:
                socket.close(linger=0)
        ending.join(DEADLINE)


@contextmanager
def _collected() -> Iterator[None]:
    """The collector looks at what comes from now on, not at all that the process has loaded."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def throughput(chain: Chain) -> float:
    """Messages a second, from the start of the chain's threads to the end of the last one.

    Raises:
        RunError: what came out is not what went in.
    """
    with chain:
        chain.open()
        source, sink = chain.ends()
        for data in messages(chain.count):
            chain.job.go_on()
            source.send(data, zmq.NOBLOCK)
        with _collected():
            begun = time.perf_counter()
            chain.launch()
            chain.wait()
            spent = time.perf_counter() - begun
        chain.verify()
        for number, data in enumerate(messages(chain.count)):
            _expect(chain, number, data, _received(chain, number, sink))
        _nothing_more(chain, sink)
    return chain.count / spent


def latencies(chain: Chain) -> list[float]:
    """Seconds of each message, alone on its way: the next one is sent when it has arrived.

    Raises:
        RunError: what came out is not what went in.
    """
    with chain:
        chain.open()
        source, sink = chain.ends()
        gc.collect()
        chain.launch()
        found = []
        for number, data in enumerate(messages(chain.count)):
            begun = time.perf_counter()
            source.send(data)
            arrived = _received(chain, number, sink)
            found.append(time.perf_counter() - begun)
            _expect(chain, number, data, arrived)
        chain.wait()
        chain.verify()
        _nothing_more(chain, sink)
    return found


def _received(chain: Chain, number: int, sink: zmq.Socket[bytes]) -> bytes:
    chain.job.go_on()
    try:
        return sink.recv()
    except zmq.Again:
        pass
    chain.job.wait_for(
        lambda seconds: bool(sink.poll(int(seconds * 1000))),
        DEADLINE * 5,
        f"{chain.name} has delivered {number} of {chain.count} messages, and no more",
    )
    return sink.recv()


def _expect(chain: Chain, number: int, sent: bytes, received: bytes) -> None:
    if strip_stamp(received) != sent:
        raise RunError(
            f"{chain.name} has changed its messages or their order: {received[:200]!r} came as "
            f"message {number} of {chain.count}"
        )


def _nothing_more(chain: Chain, sink: zmq.Socket[bytes]) -> None:
    if sink.poll(0):
        raise RunError(f"{chain.name} has delivered more than the {chain.count} messages sent")
