"""Four bugs as users write them: each shows in some orders only, hardly ever when run freely.

Each play is right in the plain order. `python tests/bugs.py` counts how often free runs show each,
and lets `explore` find them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import zmq

import pylm_lab as lab
from pylm_lab.errors import NoAnswer
from pylm_lab.explore import explore
from pylm_lab.parts.core import Inbound, Outbound
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.services import CacheService, PubService, PullService
from pylm_lab.trace import Trace


class Splitting(lab.Master):
    """Gives each line of a message to another worker."""

    def scatter(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """A message for each line."""
        for line in message.payload.splitlines():
            yield self.change_payload(message, line)


def ask(client: lab.Client, function: str, lines: list[bytes]) -> list[bytes]:
    """Ask the first two together, go on with one at a time as soon as one of them is answered, and
    take the other answer in the end.
    """
    two = client.job(function, [b"\n".join(lines[:2])], messages=len(lines[:2]))
    answers = [next(two)]
    for line in lines[2:]:
        answers += client.job(function, [line], messages=1)
    return [*answers, *two]


# A worker that answers twice: one of the two that are asked together is so late that four later
# numbers are had before its worker looks for the latest.


class Squaring(lab.Worker):
    """Squares numbers. The latest number that anybody has had is in the cache.

    One that is far behind it has waited for long, and whoever asked may not listen any more: its
    answer is sent a second time, to be on the safe side.
    """

    def square(self, payload: bytes) -> bytes:
        """The square of a number."""
        number, latest = int(payload), int(self.get("latest") or b"0")
        answer = b"%d" % number**2
        if number + 4 <= latest:
            self.message.payload = answer
            self.emit(self.push, [self.message.SerializeToString()])
        else:
            self.set(payload, "latest")
        return answer


def answers_twice(cluster: lab.Cluster, messages: int = 6, workers: int = 6) -> None:
    """Numbers are squared by several workers."""
    cluster.add(Splitting("server"))
    for _ in range(workers):
        cluster.add(Squaring(server="server"))
    numbers = range(1, messages + 1)
    answers = ask(cluster.client("server"), "server.square", [b"%d" % n for n in numbers])
    assert sorted(map(int, answers)) == [number**2 for number in numbers]


def one_answer_each(trace: Trace) -> Iterator[str]:
    """A worker never sends more than it has received."""
    for worker in (actor.id for actor in trace.actors if actor.role == "worker"):
        open_ones = 0
        for event in trace.events:
            if event.actor == worker and event.kind == "message":
                open_ones += {"receive": 1, "send": -1}.get(event.what, 0)
            if open_ones < 0:
                yield f"{worker} sent an answer that nobody waited for."
                break


# A gather that closes one message early: with the last one, as if it came last.


class Adding(lab.Worker):
    """Adds up the numbers of a message."""

    def add(self, payload: bytes) -> bytes:
        """`3: 1 2` becomes `3: 3`; what is before the colon is the message's own number."""
        number, _, numbers = payload.partition(b":")
        return b"%b: %d" % (number, sum(map(int, numbers.split())))


class Totalling(Splitting):
    """Adds up all that its workers answer, and gives the total with the last answer."""

    def __init__(self, name: str, last: int) -> None:
        super().__init__(name)
        self.last = last
        self.total = 0

    def gather(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """Let each answer pass, the last one as the total."""
        number, _, value = message.payload.partition(b":")
        self.total += int(value)
        if int(number) == self.last:
            message = self.change_payload(message, b"total: %d" % self.total)
        yield message


def closes_early(cluster: lab.Cluster, messages: int = 6, workers: int = 6) -> None:
    """Numbers are added up by the workers, and their sums by the master."""
    cluster.add(Totalling("server", last=messages))
    for _ in range(workers):
        cluster.add(Adding(server="server"))
    payloads = [b"%d: %d 1" % (number, number) for number in range(1, messages + 1)]
    answers = ask(cluster.client("server"), "server.add", payloads)
    total = sum(sum(map(int, payload.partition(b":")[2].split())) for payload in payloads)
    assert b"total: %d" % total in answers, f"the total is {total}, and the answers {answers}"


# Two blocking parts that wait for each other: the server's Deal waits for the office's Desk, which
# takes two messages and answers the second when the first is done; that is when Return is answered
# by Results, which waits for the router, which holds while Deal waits.


def deadlocks(cluster: lab.Cluster, messages: int = 2, lookups: int = 24) -> None:
    """A server hands its messages to an office and gets them back, both by request and reply.

    The client looks the next message up in the cache, word by word, while the office works.
    """
    server = lab.ServerTemplate(name="server", window=1)
    server.register_inbound(PullService, "Pull", route="Deal")
    server.register_inbound(
        Inbound, "Results", "inproc://results", route="Pub", socket_type=zmq.REP, bind=True
    )
    server.register_outbound(Outbound, "Deal", "inproc://desk", socket_type=zmq.REQ)
    server.register_outbound(PubService, "Pub")
    server.register_bypass(CacheService, "Cache")
    server.preset_cache(word="good morning")
    office = lab.ServerTemplate(name="office", window=2)
    office.register_inbound(
        Inbound, "Desk", "inproc://desk", route="Return", socket_type=zmq.REP, bind=True
    )
    office.register_outbound(Outbound, "Return", "inproc://results", socket_type=zmq.REQ)
    cluster.add(server)
    cluster.add(office)
    # A free run can't tell that nothing will ever move.
    client = cluster.client("server", timeout=2.0 if cluster.seed is None else None)

    def letters() -> Iterator[bytes]:
        for _ in range(messages):
            yield b" ".join(client.get("word") or b"" for _ in range(lookups))

    assert len(list(client.job("office.echo", letters(), messages=messages))) == messages


# A counter in the cache: get, add, set.


class Counting(lab.Worker):
    """Says everything in capitals, and counts in the cache what was loud."""

    def hear(self, payload: bytes) -> bytes:
        """The same in capitals."""
        if payload.endswith(b"!"):
            count = int(self.get("loud") or b"0")
            self.set(b"%d" % (count + 1), "loud")
        return payload.upper()


def loses_an_update(cluster: lab.Cluster, messages: int = 6, workers: int = 6) -> None:
    """The first and the last message are loud."""
    cluster.add(Splitting("server"))
    for _ in range(workers):
        cluster.add(Counting(server="server"))
    client = cluster.client("server")
    words = [b"hello"] * messages
    words[0] = words[-1] = b"hello!"
    ask(client, "server.hear", words)
    loud, count = words.count(b"hello!"), int(client.get("loud") or b"0")
    assert count == loud, f"{loud} were loud, and {count} were counted"


class Bug(NamedTuple):
    """A play with a bug, the check that it breaks, and the number of hops needed to show it."""

    play: Callable[..., Any]
    check: Callable[[Trace], Any]
    hops: int


# Hops of a cluster before anything is asked: a worker looks up two addresses, a client two and the
# name, each a request and an answer; and the client hears once that its subscription is known.
WORKER, CLIENT = 4, 7
# A message from the client to the worker: Pull, router, WorkerPush, worker; and as many back. Two
# that go together are one at first, so they are seven.
THERE = BACK = 4
TWO = 2 * THERE - 1
# A worker asks the cache: a request and an answer.
CACHE = 2

BUGS = (
    Bug(
        answers_twice,
        one_answer_each,
        # Number 1 is late. 2, 3 and 4 come and go, 5 gets as far as its set; each gets and sets.
        # Then 1 gets, and sends twice.
        5 * WORKER + CLIENT + TWO + 3 * THERE + 4 * 2 * CACHE + 3 * BACK + CACHE + 2,
    ),
    Bug(
        closes_early,
        Trace.check,
        # Two messages, the last of which is back first; the play finds out when both are.
        2 * WORKER + CLIENT + TWO + 2 * BACK,
    ),
    Bug(
        deadlocks,
        Trace.check,
        # One word is looked up for each of two messages. The first goes through Pull, the router,
        # Deal, Desk, the office's router, Return and Results, and stays at the router: eight hops.
        # The second, five, stays at the office's router. Before, Deal had the answer to the first,
        # and the router and Pull their credit for it: three.
        CLIENT + 2 * CACHE + 8 + 5 + 3,
    ),
    Bug(
        loses_an_update,
        Trace.check,
        # Both workers get before one of them sets; the client gets in the end.
        2 * WORKER + CLIENT + TWO + 2 * 2 * CACHE + 2 * BACK + CACHE,
    ),
)


def shown_freely(bug: Bug, runs: int) -> int:
    """How many of so many free runs show the bug."""
    shown = 0
    for _ in range(runs):
        cluster = lab.Cluster()
        try:
            with cluster:
                bug.play(cluster)
        except (AssertionError, NoAnswer):
            shown += 1
        else:
            shown += bool(list(bug.check(cluster.trace)))
    return shown


def main() -> None:
    """Print what free runs and what explore show, for each."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for bug in BUGS:
        begun = time.monotonic()
        shown = shown_freely(bug, runs)
        print(f"{bug.play.__name__}: {shown} of {runs} free runs, {time.monotonic() - begun:.0f} s")
        begun = time.monotonic()
        found = explore(bug.play, bug.check)
        print(f"{found!r}\n  {time.monotonic() - begun:.1f} s\n{found.trace!r}\n", flush=True)


if __name__ == "__main__":
    main()
