"""Exercise: find out from a trace which messages never came back, and who had them last."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pylm_lab import faults
from pylm_lab.arguments import nearest
from pylm_lab.cluster import Cluster
from pylm_lab.course.verdict import Verdict
from pylm_lab.errors import LabError, NoAnswer
from pylm_lab.faults import Fault
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    WorkerPullService,
    WorkerPushService,
)
from pylm_lab.scenarios import Greeter
from pylm_lab.trace import Trace
from pylm_lab.trace.ask.messages import Message
from pylm_lab.trace.show.excerpt import excerpt

__all__ = ["ASKED", "check", "runs"]

ASKED = (
    "Write a function that is given a trace and says which messages never came back, and who was "
    "the last to have each of them."
)

MESSAGES = 4
#: What an answer looks like; no run has a message 9.
LIKE = "{'9': 'router'}"


def check(answer: Any) -> Verdict:
    """Ask the function about five runs, in which different things go wrong."""
    if not callable(answer):
        raise LabError(
            f"the exercise 'trace' asks for a function, not for {excerpt(repr(answer), 80)}: one "
            f"that is given a trace and returns a dict like {LIKE}, the number of each message "
            "that never came back and who had it last; empty if all came back"
        )
    asked = runs()
    for number, trace in enumerate(asked, start=1):
        wrong = _wrong(answer, trace)
        if wrong:
            return Verdict(
                exercise="trace",
                passed=False,
                sentences=(
                    f"Run {number} of {len(asked)}: {wrong[0]}",
                    *wrong[1:],
                    "The trace of this verdict is that run: look what became of its messages.",
                ),
                trace=trace,
            )
    return Verdict(
        exercise="trace",
        passed=True,
        sentences=(
            f"In all {len(asked)} runs you name each message that never came back, and who had it "
            "last, and no other.",
        ),
    )


def runs() -> list[Trace]:
    """The runs that are asked about, always the same."""
    return [
        _run(1, faults.drop("WorkerPush→worker2", nth=2)),
        # Something is wrong here, and yet all messages come back.
        _run(3, faults.duplicate("client→Pull"), answers=MESSAGES + 1),
        _run(2, faults.drop("Pub→client", nth=2)),
        # Nothing is wrong here, and yet a message does not come back.
        _run(4, pull=_Silent),
        _run(5, faults.stop("worker2")),
    ]


class _Silent(PullService):
    """Makes nothing of one of the messages, and says so."""

    def scatter(self, message: PalmMessage) -> Iterable[PalmMessage]:
        return [] if message.payload == b"message 3" else [message]


def _run(
    seed: int, *broken: Fault, answers: int = MESSAGES, pull: type[PullService] = PullService
) -> Trace:
    server = ServerTemplate(name="server")
    server.register_inbound(pull, "Pull", route="WorkerPush")
    server.register_inbound(WorkerPullService, "WorkerPull", route="Pub")
    server.register_outbound(WorkerPushService, "WorkerPush")
    server.register_outbound(PubService, "Pub")
    server.register_bypass(CacheService, "Cache")
    with Cluster(seed, faults=broken) as cluster:
        cluster.add(server)
        for name in ("worker1", "worker2"):
            cluster.add(Greeter(name, server="server"))
        client = cluster.client("server")
        questions = [b"message %d" % n for n in range(1, MESSAGES + 1)]
        with contextlib.suppress(NoAnswer):  # that is what is asked about
            list(client.job("server.foo", questions, messages=answers, timeout=5))
    return cluster.trace


def _gone(trace: Trace) -> dict[str, str]:
    """The number of each message that never came back → the id of who had it last."""
    found = {}
    for message in trace.messages:
        if not message.answered:
            last = message.hops[-1]
            found[message.number] = last.source if last.received is None else last.target
    return found


def _wrong(answer: Callable[[Trace], Any], trace: Trace) -> list[str]:
    """What is wrong with what the function says of this run."""
    try:
        said = answer(trace)
    except Exception as error:  # noqa: BLE001 - it is a student's function
        at = error.__traceback__ and error.__traceback__.tb_next
        line = f" (line {at.tb_lineno} of {at.tb_frame.f_code.co_name})" if at else ""
        told = f"{type(error).__name__}: {excerpt(str(error), 200)}"
        return [f"Your function raised {told}{line}."]
    if not isinstance(said, Mapping):
        return [f"Your function gave {excerpt(repr(said), 80)}, and not a dict like {LIKE}."]
    named: dict[str, str] = {}
    for message, who in said.items():
        number = message.number if isinstance(message, Message) else message
        if number not in trace.messages:
            known = ", ".join(one.number for one in trace.messages)
            return [f"There is no message {excerpt(repr(message), 40)} in it: it has {known}."]
        actor = _actor(trace, who)
        if not actor:
            near = nearest(who, trace.labels.values())
            return [f"Nobody in it is called {excerpt(repr(who), 40)}; {near}"]
        named[trace.messages[number].number] = actor
    return [*_too_many(trace, named), *_too_few(trace, named), *_elsewhere(trace, named)]


def _actor(trace: Trace, who: object) -> str:
    """The id of the actor of this id or label; empty if there is none."""
    return next((a.id for a in trace.actors if who in (a.id, trace.labels[a.id])), "")


def _too_many(trace: Trace, named: dict[str, str]) -> list[str]:
    gone = _gone(trace)
    return [
        f"Message {number} did come back to who asked. What would tell you that it was answered?"
        for number in named
        if number not in gone
    ]


def _too_few(trace: Trace, named: dict[str, str]) -> list[str]:
    missed = [number for number in _gone(trace) if number not in named]
    if not missed:
        return []
    told = f"{len(missed)} of its {len(trace.messages)} messages never came back"
    hint = "How many answers did the client receive, and to which questions?"
    if not trace.check():
        hint = "No invariant is broken in it. Is that the same as being answered?"
    return [f"{told}, and your function does not say so. {hint}"]


def _elsewhere(trace: Trace, named: dict[str, str]) -> list[str]:
    words = []
    for number, right in _gone(trace).items():
        actor = named.get(number, right)
        if actor == right:
            continue
        hops, name = trace.messages[number].hops, trace.labels[actor]
        if any(hop.source == actor for hop in hops):
            words.append(f"Message {number} was with {name}, and went on from there.")
        elif any(hop.target == actor for hop in hops):
            words.append(
                f"Message {number} was sent to {name}. Has {name} received it? Ask its last hop."
            )
        else:
            words.append(f"Message {number} was never sent to {name}.")
    return words
