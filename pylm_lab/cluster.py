"""Cluster: servers, workers and clients together in one process.

1. `add` declares. The first client starts everything: servers, in the order of `add` but each
   after those that feed it (`upstream=`), then workers.
2. Every run has a context of its own and fresh addresses, so two clusters never meet, and the same
   lines run twice work twice.
3. With a seed the very same threads and sockets move one operation at a time, in an order that the
   seed decides; stepped, in the order that you decide. The time of a trace is then the step number.
4. Everything ends with the `with` block, or with `stop`: every thread, socket, port and address.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from pylm_lab.actor import DEADLINE
from pylm_lab.arguments import count, seconds
from pylm_lab.breaking import Breaking
from pylm_lab.choices import Chooser, Chosen, Operation, Seeded, Stepped
from pylm_lab.clients import Client
from pylm_lab.errors import RunError, WiringError
from pylm_lab.faults import Fault
from pylm_lab.hook import Hook
from pylm_lab.moves import Move, Moves
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.party import Party
from pylm_lab.remote.browser import Browser
from pylm_lab.remote.server import DebugServer
from pylm_lab.replaying import Divergence, Record, Replayed, compare
from pylm_lab.servers import Worker
from pylm_lab.stepping import Stepping
from pylm_lab.tasks import Task
from pylm_lab.trace.record.recorder import Recorder
from pylm_lab.waits import Waits

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Cluster"]

T = TypeVar("T", ServerTemplate, Worker, DebugServer)

#: What decides who moves next: by name, or a function that is given the possible operations and
#: returns the position of one.
Schedule = Literal["free", "seeded", "stepped"] | Callable[[Sequence[Operation]], int]


class Cluster:
    """Runs servers, workers and clients in this process, and records every hop.

    Args:
        seed: None runs free; a number runs one operation at a time, in the order that it decides.
        schedule: `free`, `seeded` or `stepped`; None: what the seed says. Stepped, nothing moves
            but by `step`, `run` and `run_until`: the first that is possible, or with a seed as that
            decides. Or a function of your own, which is given the operations that are possible, in
            a stable order, and returns the position of one.
        replay: run along the decisions of this trace; `divergence` tells the first difference.
        faults: what to break from the beginning; see `pylm_lab.faults`.
        transport: `inproc` or `tcp` for addresses that are not given. All but a free run need
            `inproc`.
        record: False records nothing; then `trace` is empty.
        limit: steps after which a controlled run is given up as endless; None: never.
        scenario, options: the name and the options that the trace carries.

    Use it in a `with` block, which ends everything.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        schedule: Schedule | None = None,
        replay: Trace | None = None,
        faults: Iterable[Fault] = (),
        transport: Literal["inproc", "tcp"] = "inproc",
        record: bool = True,
        limit: int | None = None,
        scenario: str = "",
        options: Mapping[str, int] | None = None,
    ) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise WiringError(f"seed={seed!r}: a seed is a whole number, or None to run free")
        if transport not in ("inproc", "tcp"):
            raise WiringError(f"transport={transport!r}: choose 'inproc' or 'tcp'")
        if limit is not None:
            count("limit", limit, "steps after which a call is given up, or None for never")
        self._record = None if replay is None else Record(_trace(replay))
        name, chooser, self.seed = _chooser(seed, schedule, self._record)
        if chooser is not None and transport != "inproc":
            raise WiringError(
                f"a {name} run needs transport='inproc': over tcp nothing tells when a message "
                "has arrived"
            )
        self._about: dict[str, Any] = {
            "schedule": name,
            "seed": self.seed,
            "clock": "ns" if chooser is None else "step",
            "scenario": scenario or (replay.scenario if replay else ""),
            "options": dict(options or (replay.options if replay else {})),
        }
        self._recorder = Recorder(**self._about)
        self._party = Party(chooser, self.seed, transport)
        self._party.about = self._about
        self._breaking = Breaking(self._party)
        self._stepping = Stepping(self._party, self._breaking)
        if self._party.run.gate is not None:
            self._party.run.gate.limit = limit
        if record:
            self._party.run.hooks.add(self._recorder)
        if isinstance(chooser, Replayed):
            self._stepping.follow(chooser)
        for fault in faults:
            self._breaking.inject(fault)
        # A cluster that is forgotten, or still running at the end of the process, is ended.
        self._end = weakref.finalize(self, self._party.abort)

    def add(self, actor: T) -> T:
        """Let a server or a worker take part; returns it.

        A worker names its server with `server=`; where there is one server only, it need not. A web
        worker (`remote.server.DebugServer`) starts at once, and so has its `url`.

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
            options: `name`, `timeout`, `session` and `errors`, as `Client` takes them, except that
                a failed function raises FunctionError unless `errors="return"`. And `answers`: the
                name of the server whose answers it gets, where that is another, down the pipeline.
        """
        return self._party.client(server, options)

    def browser(self, server: str | ServerTemplate = "", **options: Any) -> Browser:
        """A web client of the server's `HttpGateway`; starts everything that has been added.

        Args:
            server: its name, or the server itself; may be left out where there is only one.
            options: `name` and `timeout`.
        """
        return self._party.browser(server, options)

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

    def waiting(self) -> Waits:
        """Who waits, where, for what, for whom and how long: in seconds, or in steps.

        From any thread, at any time; whoever does something at the moment is not in it. It tells
        itself in sentences, `lab.draw` draws it, `.graph` is a networkx graph, `.cycle` names those
        who wait in a circle.
        """
        return self._party.waiting()

    # Moving it

    def start(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
        """Begin a call, in a thread of its own, as in `cluster.start(client.eval, …)`.

        In a controlled run it comes to its first operation before this returns, and then waits for
        its turns. Any function will do that calls clients of this cluster, or makes them. What a
        generator gives, such as a job, is collected.

        Returns:
            A task: `done` says whether it has ended, `result()` how.

        Raises:
            WiringError: it is no function.
            RunError: the cluster has ended.
        """
        return self._party.start(function, args, kwargs)

    @property
    def pending(self) -> Moves:
        """What could happen next in a controlled run, in a stable order; nothing moves.

        Each has an actor, an operation, a link, a message and a sentence.
        """
        return self._stepping.pending()

    def step(self, n: int | Move = 1, *, choice: int | Move | None = None) -> Moves:
        """Let exactly one operation happen, or `n` of them; returns what has happened.

        Args:
            n: how many; or the one that is to happen, out of `pending`.
            choice: which of `pending` comes first: its number (from 1), or itself. Unless told it
                is the first, or what the seed says.

        Raises:
            Deadlock: nothing can move, and a call has not ended. It can still be looked at, mended
                and stepped on.
            WiringError: there is no such choice.
            RunError: the cluster runs free, or has ended.
        """
        return self._stepping.step(n, choice)

    def run(self) -> Moves:
        """Let everything happen until nothing can move any more; returns what has happened.

        Raises: as `step`.
        """
        return self._stepping.run()

    def run_until(
        self,
        part: str | None = None,
        message: int | str | None = None,
        kind: str | None = None,
        when: Callable[[Move], Any] | None = None,
    ) -> Moves:
        """Let everything happen until something has just happened; returns what did.

        All that is given has to be so at once.

        Args:
            part: an actor does it: its id or its label.
            message: it is about this message, as `pending` and `trace.numbers` call it.
            kind: it is this operation (`send`, `receive`, …), or what crosses is of this kind
                (`message`, `credit`, `request`, `answer`).
            when: a function that is given the move, and says whether to stop.

        Raises:
            RunError: nothing can move any more, and it was never so. What has moved has moved.
            WiringError: nobody has this name, or nothing was given.
            Deadlock: as `step`.
        """
        return self._stepping.run_until(part, message, kind, when)

    @property
    def divergence(self) -> Divergence | None:
        """Where a replay first differs from its trace; None as long as it does not."""
        if self._record is None:
            return None
        return compare(self._record.trace, self.trace, self._stepping.divergence)

    # Breaking it

    def inject(self, fault: Fault) -> Fault:
        """Let a fault act from now on, in a free run as well; returns it. See `pylm_lab.faults`.

        Raises:
            WiringError: it is none, or names somebody who does not take part.
            RunError: the cluster has ended.
        """
        self._breaking.inject(fault)
        return fault

    def heal(self, fault: Fault) -> None:
        """Let a fault act no more.

        Raises:
            WiringError: it was not injected, has been healed, or has acted as often as it should.
            RunError: the cluster has ended.
        """
        self._breaking.heal(fault)

    @property
    def faults(self) -> list[Fault]:
        """The faults that may still act."""
        return self._breaking.faults

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

        A seeded run first runs on until nothing can move any more; a stepped one ends where it
        stands. A stop goes the way of the
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


def _trace(replay: object) -> Trace:
    from pylm_lab.trace.trace import Trace  # only now, since it needs numpy

    if not isinstance(replay, Trace):
        raise WiringError(f"replay={replay!r}: give it a trace, such as Trace.load(…)")
    return replay


def _chooser(
    seed: int | None, schedule: Schedule | None, record: Record | None
) -> tuple[str, Chooser | None, int | None]:
    """What the schedule is called, who chooses (None: nobody, it runs free), and the seed."""
    if record is not None:
        if seed is not None or schedule is not None:
            raise WiringError("replay= brings its own seed and schedule: leave them out")
        return "replayed", Replayed(record), record.trace.seed
    if schedule is None:
        schedule = "free" if seed is None else "seeded"
    if schedule == "free":
        if seed is not None:
            raise WiringError(f"seed={seed} and schedule='free': a free run has no seed")
        return "free", None, None
    if schedule == "seeded":
        if seed is None:
            raise WiringError("schedule='seeded' needs a seed, a whole number")
        return "seeded", Seeded(seed), seed
    if schedule == "stepped":
        return "stepped", Stepped(Chooser() if seed is None else Seeded(seed)), seed or 0
    if callable(schedule):
        return "chosen", Chosen(schedule), seed or 0
    raise WiringError(
        f"schedule={schedule!r}: choose 'free', 'seeded' or 'stepped', or give a function"
    )
