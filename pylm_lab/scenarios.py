"""The documented clusters, by name.

`scenarios["parallel"].run(seed=1)` runs one and returns its trace. The module itself is the mapping
from names to scenarios.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from pylm_lab.arguments import nearest
from pylm_lab.cluster import Cluster
from pylm_lab.errors import WiringError
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    WorkerPullService,
    WorkerPushService,
)
from pylm_lab.servers import Master, Worker
from pylm_lab.trace import Trace

__all__ = ["Scenario", "build_master", "get", "names"]

_SCENARIOS: dict[str, Scenario] = {}


class Scenario:
    """A ready-made cluster: who takes part, and what the client asks.

    `name` is its name, `summary` one sentence, `options` what can be chosen, with the defaults.
    """

    def __init__(self, play: Callable[..., list[bytes]]) -> None:
        self.name = play.__name__
        self.summary = inspect.getdoc(play) or ""
        self._play = play
        parameters = list(inspect.signature(play).parameters.values())[1:]
        self.options: dict[str, Any] = {p.name: p.default for p in parameters}

    def play(self, cluster: Cluster, **options: Any) -> list[bytes]:
        """Put the scenario's actors into a cluster and let its client ask; returns the answers.

        Raises:
            WiringError: an option is unknown.
        """
        self._check(options)
        return self._play(cluster, **options)

    def _check(self, options: dict[str, Any]) -> None:
        for name in options:
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise WiringError(f"scenario {self.name!r} has no option {name!r}: it has {known}")
        for name, value in options.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise WiringError(f"{name}={value!r}: scenario {self.name!r} needs at least 1")

    def cluster(self, seed: int | None = None, **more: Any) -> Cluster:
        """A cluster whose trace carries the scenario's name and options, for `play`.

        `more` are its options, and arguments of `Cluster`.
        """
        known = inspect.signature(Cluster).parameters
        options = {name: more.pop(name) for name in list(more) if name not in known}
        self._check(options)
        return Cluster(seed, scenario=self.name, options={**self.options, **options}, **more)

    def run(
        self,
        seed: int | None = None,
        *,
        transport: Literal["inproc", "tcp"] = "inproc",
        **options: Any,
    ) -> Trace:
        """Run the scenario from beginning to end; returns the trace.

        Args:
            seed, transport: as `Cluster` takes them.
            options: the scenario's own, such as `messages` and `workers`.
        """
        self._check(options)
        with self.cluster(seed, transport=transport, **options) as cluster:
            self.play(cluster, **options)
        return cluster.trace

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"<Scenario {self.name}{options}: {self.summary}>"


def _scenario(play: Callable[..., list[bytes]]) -> Callable[..., list[bytes]]:
    _SCENARIOS[play.__name__] = Scenario(play)
    return play


def names() -> list[str]:
    """The names of all scenarios, in the order of the course."""
    return list(_SCENARIOS)


def get(name: str) -> Scenario:
    """The scenario of this name.

    Raises:
        WiringError: there is none. The text names the nearest.
    """
    if name in _SCENARIOS:
        return _SCENARIOS[name]
    raise WiringError(f"there is no scenario {name!r}: {nearest(name, _SCENARIOS)}")


class Greeter(Worker):
    """A worker whose answers say who gave them."""

    def foo(self, payload: bytes) -> bytes:
        """Say who processed a message; the payload is not looked at."""
        return self.name.encode() + b" processed " + payload


def _workers(cluster: Cluster, count: int) -> None:
    for position in range(1, count + 1):
        cluster.add(Greeter(f"worker{position}", server="server"))


def _ask(cluster: Cluster, messages: int, answers: int) -> list[bytes]:
    client = cluster.client("server")
    return list(client.job("server.foo", [b"a message"] * messages, messages=answers))


@_scenario
def parallel(cluster: Cluster, messages: int = 10, workers: int = 2) -> list[bytes]:
    """A client, a master and some workers: the messages are dealt in rounds."""
    cluster.add(Master("server"))
    _workers(cluster, workers)
    return _ask(cluster, messages, messages)


class Counting(Worker):
    """A worker that keeps a number in the server's cache."""

    def foo(self, payload: bytes) -> bytes:
        """Read the number under the key in the payload, and give it back in words."""
        return b"the cache says " + (self.get(payload.decode()) or b"nothing")


@_scenario
def cache(cluster: Cluster, messages: int = 3) -> list[bytes]:
    """The client stores a value in the server's cache, and a worker reads it: no router between."""
    cluster.add(Master("server"))
    cluster.add(Counting("worker1", server="server"))
    client = cluster.client("server")
    key = client.set(b"forty-two", "answer")
    answers = list(client.job("server.foo", [key.encode()] * messages, messages=messages))
    client.delete(key)
    return answers


class Tripling(Master):
    """A master that gives each message to the workers three times."""

    def scatter(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """Three messages for one."""
        for _ in range(3):
            yield message


@_scenario
def scatter(cluster: Cluster, messages: int = 4, workers: int = 2) -> list[bytes]:
    """The master makes three messages out of each, and every one is answered."""
    cluster.add(Tripling("server"))
    _workers(cluster, workers)
    return _ask(cluster, messages, 3 * messages)


class Finishing(Master):
    """A master that changes the last of a number of answers."""

    def __init__(self, name: str, last: int) -> None:
        self.last = last
        self.seen = 0
        super().__init__(name)

    def gather(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """Let each answer pass, and replace the payload of the last."""
        self.seen += 1
        if self.seen == self.last:
            message = self.change_payload(message, b"the last one")
        yield message


@_scenario
def gather(cluster: Cluster, messages: int = 6, workers: int = 2) -> list[bytes]:
    """The master replaces the payload of the last answer on its way back."""
    cluster.add(Finishing("server", last=messages))
    _workers(cluster, workers)
    return _ask(cluster, messages, messages)


def build_master(name: str = "server") -> ServerTemplate:
    """A master built from its parts: a router, four service parts and a cache."""
    server = ServerTemplate(name=name)
    server.register_inbound(PullService, "Pull", route="WorkerPush")
    server.register_inbound(WorkerPullService, "WorkerPull", route="Pub")
    server.register_outbound(WorkerPushService, "WorkerPush")
    server.register_outbound(PubService, "Pub")
    server.register_bypass(CacheService, "Cache")
    return server


@_scenario
def template(cluster: Cluster, messages: int = 10, workers: int = 2) -> list[bytes]:
    """The parallel cluster, with a master built from its parts."""
    cluster.add(build_master())
    _workers(cluster, workers)
    return _ask(cluster, messages, messages)


class _Scenarios(types.ModuleType):
    """The module as a mapping, so that `lab.scenarios["parallel"]` is what it seems."""

    def __getitem__(self, name: str) -> Scenario:
        return get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_SCENARIOS)

    def __len__(self) -> int:
        return len(_SCENARIOS)

    def __contains__(self, name: object) -> bool:
        return name in _SCENARIOS


sys.modules[__name__].__class__ = _Scenarios
