"""Waits made by hand: circles, chains, those that nobody is owed, and wild ones."""

from __future__ import annotations

import random
from typing import Literal

from pylm_lab.waits import Wait, Waits

__all__ = ["CASES", "idle", "wait", "wild"]


def wait(
    actor: str,
    *on: str,
    what: str = "a message",
    port: str = "listen_to",
    lasting: float = 3,
    unit: Literal["s", "steps"] = "steps",
    idle: bool = False,
) -> Wait:
    """An actor that waits at one port for the others."""
    where = f"{actor}:{port}"
    return Wait(actor, f"{what} at {where}", (where,), lasting, unit, on, idle)


def idle(*actors: str) -> list[Wait]:
    """Actors that wait for work only, of each other as in a server at rest."""
    return [wait(a, b, idle=True) for a, b in zip(actors, [*actors[1:], *actors[:1]], strict=True)]


def room(actor: str, *on: str, **options: float) -> Wait:
    return wait(actor, *on, what="room to send", lasting=options.get("lasting", 3))


def ring(n: int, name: str = "hub") -> list[Wait]:
    return [room(f"{name}{k + 1}", f"{name}{(k + 1) % n + 1}") for k in range(n)]


def wild(seed: int) -> Waits:
    """Any fourteen actors that wait for any others."""
    rng = random.Random(seed)
    names = [
        f"server{rng.randrange(3)}.Part{n}" if rng.random() < 0.6 else f"client{n}"
        for n in range(14)
    ]
    known = [*names, "away1", "away2"]
    return Waits(
        wait(
            actor,
            *rng.sample(known, rng.choice([1, 1, 1, 2, 2, 4])),
            what=rng.choice(["a message", "room to send"]),
            lasting=rng.randrange(300),
            idle=rng.random() < rng.choice([0.1, 0.5]),
        )
        for actor in names
    )


_HOSTILE = ("<b>&amp;", "$$x^2$$", "a\u202eb\n\x00\udc80", "漢字" * 30, "x" * 300, "n." * 50)

CASES: dict[str, Waits] = {
    "nobody": Waits(),
    "at rest": Waits(idle("server.Pull", "server.router", "server.WorkerPush")),
    "many at rest": Waits(idle(*(f"worker{n}" for n in range(60)))),
    "one": Waits([room("proxy", "proxy"), wait("client", "proxy")]),
    "one, with a way out": Waits([room("proxy", "proxy", "pub"), wait("client", "pub")]),
    "two": Waits(
        [
            wait("client", "server.Pub", port="sub", lasting=212),
            room("server.WorkerPush", "worker1", lasting=4),
            wait("worker1", "server.WorkerPush", port="pull"),
            *idle("server.Pull", "worker2"),
            wait("server.Pub", "server.WorkerPush", port="broker", lasting=100),
        ]
    ),
    "three": Waits(
        [
            room("client", "server.Pull", lasting=7),
            wait("server.Pull", "server.router", port="broker", lasting=20),
            room("server.router", "server.WorkerPush", lasting=30),
            room("server.WorkerPush", "server.Pull", "worker1", lasting=4),
            *idle("worker1", "worker2", "server.Pub"),
        ]
    ),
    "four": Waits(ring(4)),
    "five": Waits(
        [
            *ring(5),
            wait("client", "hub1", "hub3"),
            wait("client2", "hub5"),
            *idle(*(f"server{n}.WorkerPull" for n in range(12))),
        ]
    ),
    "nine": Waits(
        [
            *ring(9),
            *(wait(f"x{n}", f"hub{n + 1}", f"hub{(n + 3) % 9 + 1}") for n in range(7)),
            *idle("worker1", "worker2"),
        ]
    ),
    "two circles": Waits([*ring(3, "a"), *ring(4, "b"), wait("client", "b2", "a3")]),
    "chain": Waits(
        [
            wait("client", "server.Pub", port="sub", lasting=212),
            wait("server.Pub", "server.router", port="broker", lasting=120),
            *idle("server.Pull", "server.router"),
        ]
    ),
    "fork": Waits(
        [
            wait("client", "server.Pub", "server.Pull"),
            wait("server.Pub", "worker1"),
            wait("server.Pull", "worker2"),
            *idle("worker1"),
        ]
    ),
    "function": Waits(
        [
            wait("client", "worker1", lasting=2.345, unit="s"),
            Wait("worker1", "its function slow to return", (), 2.2, "s"),
        ]
    ),
    "many alike": Waits(
        [
            *(room(f"client{n}", "server.Pull", lasting=n) for n in range(12)),
            wait("server.Pull", *(f"worker{n}" for n in range(9))),
            *idle(*(f"worker{n}" for n in range(9))),
        ]
    ),
    "hostile": Waits(
        wait(name, _HOSTILE[(n + 1) % 3 if n < 3 else 0], what="<i>" + "what " * 40)
        for n, name in enumerate(_HOSTILE)
    ),
}
