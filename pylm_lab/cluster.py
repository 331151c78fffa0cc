"""Cluster: servers, workers and clients together in one process.

1. `add` declares. The first client starts everything, servers first, in the order of `add`.
2. Every run has a context of its own and fresh addresses, so two clusters never meet, and the same
   lines run twice work twice.
3. With a seed the very same threads and sockets move one operation at a time, in an order that the
   seed decides; the time of a trace is then the step number.
4. Everything ends with the `with` block, or with `stop`: every thread, socket, port and address.
"""

from __future__ import annotations

import weakref
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from pylm_lab.actor import DEADLINE
from pylm_lab.arguments import count, seconds
from pylm_lab.clients import Client
from pylm_lab.errors import RunError, WiringError
from pylm_lab.hook import Hook
from pylm_lab.loop import Wait
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.party import Party
from pylm_lab.servers import Worker
from pylm_lab.trace import Recorder, Trace

__all__ = ["Cluster"]

T = TypeVar("T", ServerTemplate, Worker)


class Cluster:
    """Runs servers, workers and clients in this process, and records every hop.

    Args:
        seed: None runs free; a number runs one operation at a time, in the order that it decides.
        transport: `inproc` or `tcp` for addresses that are not given. A seeded run needs `inproc`.
        record: False records nothing; then `trace` is empty.
        limit: steps after which a call in a seeded run is given up as endless; None: never.
        scenario: the name that the trace carries.

    Use it in a `with` block, which ends everything.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        transport: Literal["inproc", "tcp"] = "inproc",
        record: bool = True,
        limit: int | None = None,
        scenario: str = "",
    ) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise WiringError(f"seed={seed!r}: a seed is a whole number, or None to run free")
        if transport not in ("inproc", "tcp"):
            raise WiringError(f"transport={transport!r}: choose 'inproc' or 'tcp'")
        if seed is not None and transport != "inproc":
            raise WiringError(
                "a seeded run needs transport='inproc': over tcp nothing tells when a message "
                "has arrived"
            )
        if limit is not None:
            count("limit", limit, "steps after which a call is given up, or None for never")
        self.seed = seed
        self._about: dict[str, Any] = {
            "schedule": "free" if seed is None else "seeded",
            "seed": seed,
            "clock": "ns" if seed is None else "step",
            "scenario": scenario,
        }
        self._recorder = Recorder(**self._about)
        self._party = Party(seed, transport)
        if self._party.run.gate is not None:
            self._party.run.gate.limit = limit
        if record:
            self._party.run.hooks.add(self._recorder)
        # A cluster that is forgotten, or still running at the end of the process, is ended.
        self._end = weakref.finalize(self, self._party.abort)

    def add(self, actor: T) -> T:
        """Let a server or a worker take part; returns it.

        A worker names its server with `server=`; where there is one server only, it need not.

        Raises:
            WiringError: it is neither, it takes part already, or, once the cluster has started, its
                server is unknown. Before, that is said at the start: its server may come later.
            RunError: the cluster has ended.
        """
        self._party.add(actor)
        return actor

    def client(self, server: str | ServerTemplate = "", **options: Any) -> Client:
        """A client of the server; starts everything that has been added.

        Args:
            server: its name, or the server itself; may be left out where there is only one.
            options: `name`, `timeout` and `session`, as `Client` takes them.
        """
        return self._party.client(server, options)

    def attach(self, hook: Hook) -> Self:
        """Let the hook hear everything in this cluster. Returns the cluster.

        Raises:
            RunError: it has started.
        """
        if self._party.begun:
            raise RunError("the cluster has started: attach hooks before its first client")
        if isinstance(hook, Recorder):
            hook.about(**self._about)
        self._party.run.hooks.add(hook)
        return self

    def waiting(self) -> list[Wait]:
        """Who waits, where, for what and how long: in seconds, or in steps of a seeded run.

        From any thread, at any time; whoever does something at the moment is not in it.
        """
        return self._party.waiting()

    @property
    def trace(self) -> Trace:
        """What has been recorded so far."""
        return self._recorder.trace

    @property
    def wiring(self) -> Any:
        """What has been declared so far, as a networkx.MultiDiGraph."""
        return self.trace.wiring

    def stop(self, timeout: float = DEADLINE) -> bool:
        """End everything within `timeout` seconds; True if all threads have ended.

        A second time does nothing.

        A seeded run first runs on until nothing can move any more. A stop goes the way of the
        messages: workers, then of each server the inbound parts, the router, the outbound and the
        bypass parts, at last clients. Router and outbound parts first do what has reached them.
        Who has not ended in time is named in the log, and left to its daemon thread.
        """
        until = seconds("timeout", timeout)
        return self._party.stop(DEADLINE if until is None else until)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self._party.abort()

    def __repr__(self) -> str:
        return f"<Cluster of {self._party.describe()}>"
