"""Exercise: build a master from a router and its parts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pylm_lab.cluster import Cluster
from pylm_lab.course.verdict import Verdict, journeys
from pylm_lab.errors import Deadlock, Endless, LabError, WiringError
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.scenarios import Greeter
from pylm_lab.trace import Trace

__all__ = ["ASKED", "check"]

ASKED = (
    "Wire a master: what a client sends goes to a worker, and what a worker answers goes back to "
    "the client."
)

SEEDS = (1, 2, 3)
MESSAGES = 10
#: A right answer needs about 400 steps.
LIMIT = 4000
RIGHT = Counter({b"worker1 processed a message": 5, b"worker2 processed a message": 5})


def check(answer: Any) -> Verdict:
    """Run the answer with a client and two workers, under three seeds."""
    made = answer() if callable(answer) and not isinstance(answer, ServerTemplate) else answer
    if not isinstance(made, ServerTemplate):
        raise LabError(
            f"the exercise 'master' asks for a server, or a function that makes one, not for "
            f"{type(made).__name__}: build it with ServerTemplate and its register_… methods"
        )
    sentences: list[str] = []
    for seed in SEEDS:
        trouble, trace = _run(made, seed)
        if trouble:
            ways = journeys(trace, _messages(trace)) if trace else []
            sentences += trouble
            return Verdict(
                exercise="master",
                passed=False,
                sentences=tuple(sentences),
                journeys=tuple(ways),
                trace=trace,
            )
        last = trace
    assert last is not None
    return Verdict(
        exercise="master",
        passed=True,
        sentences=(
            f"Under {len(SEEDS)} different orders each of {MESSAGES} messages went to a worker and "
            "came back to the client, once, and each worker had five.",
        ),
        journeys=tuple(journeys(last, _messages(last))),
        trace=last,
    )


def _messages(trace: Trace) -> list[str]:
    return [id for id, number in trace.numbers.items() if number.isdigit()]


def _run(server: ServerTemplate, seed: int) -> tuple[list[str], Trace | None]:
    """What is wrong, and the run that shows it."""
    answers: list[bytes] = []
    trouble: list[str] = []
    cluster = Cluster(seed, limit=LIMIT)
    try:
        with cluster:
            cluster.add(server)
            for name in ("worker1", "worker2"):
                cluster.add(Greeter(name, server=server.name))
            client = cluster.client(server)
            job = client.job("server.foo", [b"a message"] * MESSAGES, messages=MESSAGES)
            answers.extend(job)
    except Deadlock:
        pass  # what stands still is told below, from where the messages went
    except Endless:
        trouble.append(_round(cluster.trace))
    except WiringError as error:
        return [f"It could not be started: {error}"], None
    except LabError as error:
        trouble.append(f"The run ended early: {error}")
    trace = cluster.trace
    if not trouble:
        trouble = _stopped(trace, len(answers)) or _wrong(answers, trace)
    return trouble, trace


def _round(trace: Trace) -> str:
    """Who is visited again and again."""
    seen = Counter(hop.source for hop in trace.hops_of("message"))
    most = max(seen.values())
    busy = [trace.labels[actor] for actor, count in seen.items() if 2 * count > most]
    return (
        f"The messages go round without end, between {', '.join(sorted(busy))}. Which row of the "
        "routing table sends them back?"
    )


def _stopped(trace: Trace, answered: int) -> list[str]:
    """Where messages stand still, if fewer answers came than were asked for."""
    if answered >= MESSAGES:
        return []
    ends = Counter(trace.path(message)[-1] for message in _messages(trace))
    routes = {route.source: route.target for route in trace.routes}
    words = [f"{MESSAGES} messages were sent, and {answered} answers came back."]
    for end, count in ends.items():
        actor = trace.actor(end)
        label = trace.labels[end]
        if actor.role == "router":
            words.append(_in_router(trace, routes))
        elif actor.role == "client":
            continue
        elif actor.role == "worker":
            words.append(f"{count} stay with {label}: nothing takes what the workers answer.")
        elif actor.role == "outbound":
            words.append(
                f"{count} reach {label} and go no further: nobody is connected who takes them."
            )
        else:
            words.append(f"{count} stop in {label}.")
    return words


def _in_router(trace: Trace, routes: dict[str, str]) -> str:
    """Which inbound parts hand messages to the router that has nowhere to send them."""
    sources = {
        hop.source
        for hop in trace.hops_of("message")
        if trace.actor(hop.target or hop.source).role == "router" and hop.source not in routes
    }
    names = " and ".join(sorted(trace.labels[source] for source in sources))
    if not names:
        return "Some messages stay in the router."
    return (
        f"The router has no row for what comes from {names}: it acknowledges those messages, and "
        "they go nowhere. Where should they go?"
    )


def _wrong(answers: list[bytes], trace: Trace) -> list[str]:
    """What is wrong with answers that did come."""
    words: list[str] = []
    unworked = sum(answer == b"a message" for answer in answers)
    if unworked:
        words.append(
            f"{unworked} messages came back as they were sent: no worker has seen them. Follow "
            "message 1 through the router."
        )
    elif Counter(answers) != RIGHT:
        counted = ", ".join(
            f"{n} × {a.decode(errors='replace')!r}" for a, n in Counter(answers).items()
        )
        words.append(f"The answers are not the ten that were asked for: {counted}.")
    words += [finding.sentence for finding in trace.check()]
    return words
