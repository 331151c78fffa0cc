"""A scenario: a cluster that is ready to run, with its client's calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

from pylm_lab.cluster import Cluster
from pylm_lab.errors import WiringError
from pylm_lab.trace import Trace

__all__ = ["Scenario"]


class Scenario:
    """A ready-made cluster: who takes part, and what the client asks.

    `name` is its name, `summary` one sentence, `options` what can be chosen, with the defaults.
    With `free_only` it speaks HTTP, which no schedule controls.
    """

    def __init__(self, play: Callable[..., list[bytes]], *, free_only: bool = False) -> None:
        self.free_only = free_only
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
        if self.free_only and (seed, more.get("schedule"), more.get("replay")) != (None,) * 3:
            raise WiringError(
                f"scenario {self.name!r} speaks HTTP, and that runs free only: without a seed, a "
                "schedule or a replay, since nothing tells when a request arrives"
            )
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
