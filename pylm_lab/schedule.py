"""Who moves next.

A free run has no schedule: the threads run as they like. A controlled run has a `Gate`, and then:

1. Exactly one thread runs at any time, the one that holds the turn. All others wait for theirs.
2. A turn is one operation at one port (send, receive, subscribe, …). The thread that wants one says
   what it could do and asks; the gate lets its chooser choose among what is possible.
3. Whether a socket can send or receive is asked by the thread that owns it, after reading `EVENTS`,
   and only when a port at the other end of one of its links was touched. What has come is taken off
   the socket then, and waits at the port for the turn: so it can be told before it happens.
4. The same decisions on the same program make the same run: every choice comes from the chooser,
   nothing from time, addresses in memory or hash order.
5. The system moves only while a caller is inside a call of the lab; then the caller has the turn
   back. There is no thread of the gate's own: the turn is handed from thread to thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pylm_lab.address import Places
from pylm_lab.choices import Chooser, Operation
from pylm_lab.errors import LabError, RunError
from pylm_lab.turns import SLICE, Door, Driver, Stopped, Turn, wish
from pylm_lab.turnstile import Turnstile

__all__ = ["SLICE", "Gate", "Operation", "Stopped", "wish"]


class Gate(Turnstile):
    """Lets one operation at a time happen, in the order that the chooser decides.

    `step` counts what happened so far; `time` is the clock of a controlled run in seconds: it
    stands still, and jumps when nothing is left but to wait.
    """

    def __init__(self, chooser: Chooser) -> None:
        super().__init__(chooser)
        self.places = Places()
        self._maker = threading.get_ident()
        #: Threads that may call, and what to note when one of them first waits here.
        self._callers: dict[int, threading.Event | None] = {self._maker: None}
        self._closing: list[Callable[[], None]] = []

    # What actors call

    def announce(self, owner: object, actor: str, *, thread: bool) -> None:
        """Somebody will take part: a thread about to be started, or a caller (thread=False)."""
        turn = self._turns[owner] = Turn(actor, caller=not thread)
        if thread:
            turn.waiting = True
            turn.always = Operation(actor, "start")
            turn.ready = [turn.always]

    def begin(self, owner: object) -> None:
        """The first thing that an announced thread does: wait for its first turn."""
        turn = self._turns[owner]
        self._callers[threading.get_ident()] = None
        self._actors.add(threading.get_ident())
        turn.sleep()
        if turn.granted is not None or self._over:
            self._wake(turn)
        else:
            self._negotiate(turn)

    def ask(
        self,
        owner: object,
        receives: Sequence[Door] = (),
        sends: Door | None = None,
        *,
        frames: list[bytes] | None = None,
        always: Operation | None = None,
        deadline: float | None = None,
    ) -> Operation:
        """Wait for the turn to do one of these operations; returns the one to do.

        The kind of the operation is `receive`, `send` (of the `frames`), `timeout` (the deadline
        has passed) or that of `always`, which is possible at any time.

        Raises:
            Stopped: the actor was told to stop.
            Deadlock: nothing can move any more, and this is the caller who should know.
            Endless: there is no end to it within the limit of steps.
        """
        turn = self._turns[owner]
        if turn.caller:
            self._may_call(turn.actor)
            if turn.waiting and turn.thread != threading.get_ident():
                raise RunError(
                    f"{turn.actor} is in a call already: a client makes one at a time. For two at "
                    "once, make a second client"
                )
        if self._over or turn.stopping:
            if turn.caller:
                raise self._too_late(turn.actor)
            raise Stopped
        turn.receives, turn.sends, turn.frames = receives, sends, frames
        turn.always, turn.deadline = always, deadline
        turn.since = self.step
        turn.thread = threading.get_ident()
        try:
            turn.waiting = turn.stale = True
            return self._negotiate(turn)
        except (Stopped, LabError):
            raise
        except BaseException:
            # Ctrl-C: somebody else may hold the turn, so the run can only be ended now.
            self._over = True
            raise
        finally:
            turn.waiting = False

    def end(self, owner: object) -> None:
        """The last thing that an announced thread does: hand the turn on."""
        turn = self._turns[owner]
        turn.waiting = False
        turn.stopping = True
        self._callers.pop(threading.get_ident(), None)
        self._actors.discard(threading.get_ident())
        self._hand_on()

    def fail(self, error: Exception) -> None:
        """The run can't go on, says an actor that has the turn: whoever calls gets this error.

        They are told when the actor has come to its `end`.
        """
        self._over, self.failure = True, error

    def touch(self, port: Door) -> None:
        """Something happened at the port: who waits at the other end looks again."""
        for other in self.places.peers(port):
            turn = self._turns.get(other.owner)
            if turn is not None:
                turn.stale = True

    def tick(self) -> int:
        """The number of a step that nobody had to wait for."""
        self.step += 1
        return self.step

    # What callers call

    def drive(self, until: Callable[[], bool], *, patient: bool = True) -> bool:
        """Let everything move until something is so; False if nothing can move any more.

        `until` is asked after each operation. Who is not patient leaves a standstill to the call
        that waits, which ends with Deadlock.

        Raises:
            Deadlock, Endless: as `ask`, where no call waits that could be told.
            RunError: the run is over.
        """
        self._may_call("cluster", drives=True)
        if self._choosing:
            raise RunError(
                "a schedule can't move the cluster that it chooses for: return a position"
            )
        done = not self._over and self._drive(Driver(until, patient=patient))
        if self._over and not done:
            raise self._too_late("cluster")
        return done

    def rest(self) -> None:
        """Let everything run until nothing can move any more, or the run is over."""
        try:
            if not self._over:
                self.drive(lambda: False)
        except RunError:
            if not self._over:
                raise

    def branch(self, name: str, work: Callable[[], None]) -> None:
        """Let `work` call, in a thread of its own; returns when it first waits here, or has ended.

        What it does until then, it does at once; no choice is made.
        """
        self._may_call("cluster", drives=True)
        if self._over:
            raise self._too_late("cluster")
        arrived = threading.Event()

        def run() -> None:
            self._callers[threading.get_ident()] = arrived
            try:
                work()
            finally:
                del self._callers[threading.get_ident()]
                arrived.set()
                self._hand_on()

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._drive(Driver(arrived.is_set, patient=False), first=thread.start)

    def interrupt(self, owner: object, error: Exception) -> None:
        """End the wait of a caller with this error; returns when it waits again, or has ended."""
        turn = self._turns.get(owner)
        if turn is not None and turn.waiting and not self._over:
            turn.error = error
            self._drive(Driver(lambda: True, patient=True), first=turn.go.release)

    @contextmanager
    def orderly(self, actors: Sequence[str]) -> Iterator[None]:
        """Meanwhile these actors move first, in their order, and nobody chooses."""
        if self._is_one_of_many():
            yield
            return
        before = self._focus, self._before
        self._focus, self._before = frozenset(actors), len(self._drivers)
        try:
            yield
        finally:
            self._focus, self._before = before

    def settle(self, actors: Sequence[str], ready: Callable[[], bool]) -> None:
        """Let these actors move, and nobody else, until none of them can.

        For a call that has begun, and takes its turns like everybody else, until they are ready.
        """
        if self._over:
            return
        if self._is_one_of_many():
            self.drive(ready, patient=False)
            return
        with self.orderly(actors):
            self.drive(lambda: False)

    def _is_one_of_many(self) -> bool:
        """This is a call that has come to its first turn."""
        arrived = self._callers.get(threading.get_ident())
        return arrived is not None and arrived.is_set()

    def has_started(self, owner: object) -> bool:
        """It has had its first turn."""
        turn = self._turns[owner]
        return turn.always is None or turn.always.kind != "start"

    @property
    def is_stepped_here(self) -> bool:
        """Whoever waits in this thread lets nothing move: that is done step by step."""
        return self.chooser.steps and threading.get_ident() == self._maker

    @property
    def is_over(self) -> bool:
        """Nothing will move any more."""
        return self._over

    def possible(self) -> list[Operation]:
        """What could happen next; nothing does."""
        if self._over:
            return []
        if not self._choosing:
            self.drive(lambda: True)
        return [operation for operation, _ in self._options()]

    # What the one who runs everything calls

    def defer(self, close: Callable[[], None]) -> None:
        """Close a socket at the end of the run.

        ZeroMQ finishes a close in a thread of its own, at a time of its own.
        """
        self._closing.append(close)

    def stop(self, owner: object) -> None:
        """Let the actor end; the caller waits for its thread before anything else."""
        turn = self._turns.get(owner)
        if turn is not None and not turn.stopping:
            self._over = turn.stopping = True
            turn.go.release()
            self._wake_drivers()

    def over(self) -> None:
        """The run is over: whoever asks from now on is told so. `stop` wakes those who wait."""
        self._over = True
        self._wake_drivers()

    def finish(self) -> None:
        """Close what was left to the end. Call it when all threads have ended."""
        self._over = True
        closing, self._closing = self._closing, []
        for close in closing:
            close()

    def waits(self, owner: object) -> tuple[Sequence[Door], Door | None, int] | None:
        """Where it waits to receive and to send, and for how many steps; None if it does not."""
        turn = self._turns.get(owner)
        if turn is None or not turn.waiting or turn.always is not None:
            return None
        return turn.receives, turn.sends, self.step - turn.since

    # Who may call

    def _may_call(self, who: str, *, drives: bool = False) -> None:
        here = threading.get_ident()
        if here not in self._callers:
            raise RunError(
                f"{who} was called from a second thread: in a controlled run only the thread "
                "that made the cluster may call, calls that cluster.start(…) has begun, and the "
                "cluster's own actors"
            )
        if self._focus is not None:
            return
        if self.is_stepped_here and not drives:
            raise RunError(
                f"{who} would wait, and nothing moves meanwhile: the cluster is stepped. Begin the "
                "call with cluster.start(client.eval, …), then step, or run"
            )
        arrived = self._callers[here]
        if arrived is not None:
            arrived.set()

    def _too_late(self, who: str) -> RunError:
        why = self.failure or "the run has ended, or was interrupted. Make a new cluster"
        return RunError(f"{who} can do nothing more: {why}")
