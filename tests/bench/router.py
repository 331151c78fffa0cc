"""Router throughput against a lockstep of raw sockets, side by side in one run.

    python tests/bench/router.py [--messages N] [--rounds N]

Every variant moves the same 100-byte PALM messages from one PUSH socket to one PULL socket, all in
this process, pinned to one core where the platform can. The baseline is what the router was first
documented to do: a REQ part, two ROUTER sockets and a REP part, one message at a time, parsed and
serialised in each part. Printed: messages a second, the median of the rounds, and its ratio to the
baseline's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from collections.abc import Callable

import zmq

from pylm_lab.hook import Hook
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import PullService, PushService
from pylm_lab.trace import Recorder

MESSAGE = PalmMessage(
    pipeline="p" * 16, client="c" * 16, function="server.foo", cache="k" * 16, payload=b"x" * 32
).SerializeToString()


Context = zmq.Context[zmq.Socket[bytes]]


class Deaf(Hook):
    """A hook that overrides nothing."""


def lockstep(context: Context, messages: int) -> float:
    """The baseline, of raw sockets."""
    ready = threading.Barrier(4)

    def parsed(data: bytes) -> bytes:
        return PalmMessage.FromString(data).SerializeToString()

    def inbound() -> None:
        with context.socket(zmq.PULL) as pull, context.socket(zmq.REQ) as req:
            pull.bind("inproc://in")
            req.routing_id = b"Pull"
            req.connect("inproc://router.in")
            ready.wait()
            for _ in range(messages):
                req.send(parsed(pull.recv()))
                req.recv()

    def router() -> None:
        with context.socket(zmq.ROUTER) as left, context.socket(zmq.ROUTER) as right:
            left.bind("inproc://router.in")
            right.bind("inproc://router.out")
            ready.wait()
            for _ in range(messages):
                name, empty, data = left.recv_multipart()
                right.send_multipart([b"Push", empty, data])
                right.recv_multipart()
                left.send_multipart([name, empty, b"1"])

    def outbound() -> None:
        with context.socket(zmq.PUSH) as push, context.socket(zmq.REP) as rep:
            push.bind("inproc://out")
            rep.routing_id = b"Push"
            rep.connect("inproc://router.out")
            ready.wait()
            for _ in range(messages):
                push.send(parsed(rep.recv()))
                rep.send(b"1")

    threads = [threading.Thread(target=run) for run in (inbound, router, outbound)]
    for thread in threads:
        thread.start()
    ready.wait()
    spent = _pump(context, "inproc://in", "inproc://out", messages)
    for thread in threads:
        thread.join()
    return spent


def server(hook: Callable[[], Hook] | None, **options: object) -> Callable[..., float]:
    """A PULL part, the router and a PUSH part, with or without somebody who listens."""

    def run(context: Context, messages: int) -> float:
        made = ServerTemplate(name="server", context=context, **options)  # type: ignore[arg-type]
        made.register_inbound(PullService, "Pull", "inproc://in", route="Push")
        made.register_outbound(PushService, "Push", "inproc://out")
        if hook is not None:
            made.attach(hook())
        with made:
            return _pump(context, "inproc://in", "inproc://out", messages)

    return run


def _pump(context: Context, into: str, out: str, messages: int) -> float:
    """Seconds from the first message sent to the last one received, by one thread each."""

    def send() -> None:
        with context.socket(zmq.PUSH) as push:
            push.connect(into)
            for _ in range(messages):
                push.send(MESSAGE)

    with context.socket(zmq.PULL) as pull:
        pull.connect(out)
        sender = threading.Thread(target=send)
        begun = time.perf_counter()
        sender.start()
        for _ in range(messages):
            pull.recv()
        spent = time.perf_counter() - begun
        sender.join()
    return spent


VARIANTS: dict[str, Callable[..., float]] = {
    "raw lockstep": lockstep,
    "pylm_lab lockstep": server(None, lockstep=True),
    "pylm_lab": server(None),
    "pylm_lab, a hook that hears nothing": server(Deaf),
    "pylm_lab, recording": server(Recorder),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rates: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(asked.rounds):
        for name, variant in VARIANTS.items():
            context = zmq.Context()
            try:
                rates[name].append(asked.messages / variant(context, asked.messages))
            finally:
                context.term()
    base = statistics.median(rates["raw lockstep"])
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"{name:40} {rate:10,.0f} msg/s {rate / base:6.2f} x")


if __name__ == "__main__":
    main()
