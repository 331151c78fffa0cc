"""Who moves next.

A free run has no schedule: the threads run as they like. A controlled run has a `Gate`, and then:

1. Exactly one thread runs at any time, the one that holds the turn. All others wait for theirs.
2. A turn is one operation at one port (send, receive, subscribe, …). The thread that wants one says
   what it could do and asks; the gate chooses among what is possible.
3. Whether a socket can send or receive is asked by the thread that owns it, after reading `EVENTS`,
   and only when a port at the other end of one of its links was touched.
4. The same decisions on the same program make the same run: every choice comes from the seed,
   nothing from time, addresses in memory or hash order.
5. The system moves only while a caller is inside a call of the lab; then the caller has the turn
   back. There is no thread of the gate's own: the turn is handed from thread to thread.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Protocol

from pylm_lab.errors import Deadlock, Endless, LabError, RunError

__all__ = ["Gate", "Operation", "Stopped", "wish"]

#: How long a wait in the main thread may last before it looks for Ctrl-C, in seconds. Windows does
#: not interrupt a wait for a lock.
SLICE = 0.2


class Stopped(BaseException):
    """Raised in an actor that was told to stop, at its next operation.

    No Exception, so that a user's function that catches those does not take it for its own.
    """


class Door(Protocol):
    """What the gate needs to know of a port."""

    @property
    def id(self) -> str: ...
    @property
    def addresses(self) -> Sequence[str]: ...
    @property
    def owner(self) -> object: ...
    @property
    def binds(self) -> bool: ...
    @property
    def receives(self) -> str: ...
    def can_receive(self) -> bool: ...
    def can_send(self) -> bool: ...


class Operation:
    """Something that an actor could do next: `kind` at `port` (None: start, time out)."""

    __slots__ = ("actor", "kind", "port")

    def __init__(self, actor: str, kind: str, port: Door | None = None) -> None:
        self.actor = actor
        self.kind = kind
        self.port = port

    def __repr__(self) -> str:
        where = f" at {self.port.id}" if self.port else ""
        return f"<{self.actor}: {self.kind}{where}>"


#: What comes in at a port, in words.
_COMES = {
    "": "a subscription",
    "credit": "credit",
    "answer": "an answer",
    "request": "a request",
    "ready": "an echo",
}


def wish(receives: Sequence[Door], sends: Door | None) -> str:
    """What somebody waits for who waits at these ports, in words."""
    words = [f"{_COMES.get(port.receives, 'a message')} at {port.id}" for port in receives]
    if sends is not None:
        words.append(f"room to send at {sends.id}")
    return " or ".join(words) or "quiet"


class _Turn:
    """An actor's place at the gate. Touched only by the thread that holds the turn."""

    def __init__(self, actor: str, *, caller: bool) -> None:
        self.actor = actor
        self.caller = caller
        self.go = threading.Semaphore(0)
        self.receives: Sequence[Door] = ()
        self.sends: Door | None = None
        self.always: Operation | None = None
        self.deadline: float | None = None
        self.waiting = False
        self.stale = False
        self.ready: list[Operation] = []
        self.granted: Operation | None = None
        self.error: Exception | None = None
        self.stopping = False
        self.since = 0

    def wish(self) -> str:
        """What the actor waits for, in words."""
        return wish(self.receives, self.sends) if self.always is None else self.always.kind


class Gate:
    """Lets one operation at a time happen, in the order that `choose` decides.

    `choose` gets the operations that are possible now, in a stable order, and returns the position
    of one of them. `step` counts the operations done so far; `time` is the clock of a controlled
    run in seconds: it stands still, and jumps when nothing is left but to time out.
    """

    def __init__(self, choose: Callable[[Sequence[Operation]], int]) -> None:
        self.step = 0
        self.time = 0.0
        #: Steps after which a call that still waits is given up; None: never.
        self.limit: int | None = None
        #: While True the first possible operation is taken, without asking `choose`.
        self.orderly = True
        self._choose = choose
        self._turns: dict[object, _Turn] = {}
        self._links: dict[str, dict[Door, None]] = defaultdict(dict)
        self._over = False
        self._failure: Exception | None = None
        self._closing: list[Callable[[], None]] = []
        self._caller = threading.get_ident()

    @classmethod
    def seeded(cls, seed: int) -> Gate:
        """A gate that chooses with a generator of this seed.

        It uses `random()` alone, the one sequence that Python guarantees to keep.
        """
        rng = random.Random(seed)
        return cls(lambda possible: int(rng.random() * len(possible)))

    # What actors call

    def announce(self, owner: object, actor: str, *, thread: bool) -> None:
        """Somebody will take part: a thread about to be started, or a caller (thread=False)."""
        turn = self._turns[owner] = _Turn(actor, caller=not thread)
        if thread:
            turn.waiting = True
            turn.always = Operation(actor, "start")
            turn.ready = [turn.always]

    def begin(self, owner: object) -> None:
        """The first thing that an announced thread does: wait for its first turn."""
        turn = self._turns[owner]
        self._sleep(turn)
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
        always: Operation | None = None,
        deadline: float | None = None,
    ) -> Operation:
        """Wait for the turn to do one of these operations; returns the one to do.

        The kind of the operation is `receive`, `send`, `timeout` (the deadline has passed) or that
        of `always`, which is possible at any time.

        Raises:
            Stopped: the actor was told to stop.
            Deadlock: nothing can move any more, and this is the caller who should know.
            Endless: there is no end to it within the limit of steps.
        """
        turn = self._turns[owner]
        if turn.caller:
            self._only_here(turn.actor)
        if self._over or turn.stopping:
            if turn.caller:
                why = self._failure or "the run has ended, or was interrupted. Make a new cluster"
                raise RunError(f"{turn.actor} can do nothing more: {why}")
            raise Stopped
        turn.receives, turn.sends, turn.always, turn.deadline = receives, sends, always, deadline
        turn.since = self.step
        turn.waiting = turn.stale = True
        try:
            return self._negotiate(turn)
        except (Stopped, LabError):
            raise
        except BaseException:
            # Ctrl-C: somebody else may hold the turn, so the run can only be ended now.
            self._over = True
            raise
        finally:
            turn.waiting = False

    def settle(self, owner: object) -> None:
        """Let everything run until nothing can move any more, or the run is over."""
        turn = self._turns[owner]
        self._only_here(turn.actor)
        if self._over:
            return
        turn.receives, turn.sends, turn.always, turn.deadline = (), None, None, None
        turn.waiting, turn.ready = True, []
        try:
            self._negotiate(turn)
        except Stopped:
            pass
        except BaseException:
            self._over = True  # as in `ask`
            raise
        finally:
            turn.waiting = False

    def end(self, owner: object) -> None:
        """The last thing that an announced thread does: hand the turn on."""
        turn = self._turns[owner]
        turn.waiting = False
        turn.stopping = True
        if not self._over:
            self._hand_on(turn)

    def fail(self, error: Exception) -> None:
        """The run can't go on, says an actor that has the turn: whoever calls gets this error."""
        self._over, self._failure = True, error
        for turn in self._turns.values():
            if turn.caller and turn.waiting:
                turn.error = error
                turn.go.release()

    def joined(self, port: Door, address: str) -> None:
        """The port is at this link from now on."""
        self._links[address][port] = None
        self.touch(port)

    def touch(self, port: Door) -> None:
        """Something happened at the port: who waits at the other end looks again."""
        for address in port.addresses:
            for other in self._links[address]:
                turn = self._turns.get(other.owner)
                if turn is not None and other.binds is not port.binds:
                    turn.stale = True

    def tick(self) -> int:
        """The number of a step that nobody had to wait for."""
        self.step += 1
        return self.step

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

    def over(self) -> None:
        """The run is over: whoever asks from now on is told so. `stop` wakes those who wait."""
        self._over = True

    def finish(self) -> None:
        """Close what was left to the end. Call it when all threads have ended."""
        self._over = True
        while self._closing:
            self._closing.pop(0)()

    def waits(self, owner: object) -> tuple[Sequence[Door], Door | None, int] | None:
        """Where it waits to receive and to send, and for how many steps; None if it does not."""
        turn = self._turns.get(owner)
        if turn is None or not turn.waiting or turn.always is not None:
            return None
        return turn.receives, turn.sends, self.step - turn.since

    # How the turn goes round

    def _negotiate(self, me: _Turn) -> Operation:
        """Hold the turn until it is mine to use."""
        while True:
            chosen = self._next(me)
            if chosen is me:
                return self._wake(me)
            chosen.go.release()
            self._sleep(me)
            if me.granted is not None or me.error is not None or me.stopping or self._over:
                return self._wake(me)

    def _hand_on(self, me: _Turn) -> None:
        chosen = self._next(me)
        if chosen is not me:
            chosen.go.release()

    def _next(self, me: _Turn) -> _Turn:
        """Who has to have the turn now: somebody who must look, or who may move."""
        for turn in self._turns.values():
            if turn.stale and turn.waiting:
                if turn is not me:
                    return turn
                self._look(me)
        possible = [(op, t) for t in self._turns.values() if t.waiting for op in t.ready]
        if possible and self.limit is not None and self.step >= self.limit:
            return self._give_up(Endless(self._still("still moving after", self.limit)))
        if possible:
            position = 0 if self.orderly else self._choose([op for op, _ in possible])
            return self._grant(*possible[position])
        late = [t for t in self._turns.values() if t.waiting and t.deadline is not None]
        if late:
            first = min(late, key=lambda turn: turn.deadline or 0.0)
            self.time = max(self.time, first.deadline or 0.0)
            return self._grant(Operation(first.actor, "timeout"), first)
        quiet = [t for t in self._turns.values() if t.waiting and t.wish() == "quiet"]
        if quiet:
            return self._grant(Operation(quiet[0].actor, "quiet"), quiet[0])
        return self._give_up(Deadlock(self._still("nothing can move any more at step", self.step)))

    def _only_here(self, actor: str) -> None:
        if threading.get_ident() != self._caller:
            raise RunError(
                f"{actor} was called from a second thread: in a controlled run only the thread "
                "that made the cluster may call"
            )

    def _still(self, what: str, step: int) -> str:
        waiting = [turn for turn in self._turns.values() if turn.waiting]
        callers = [f"{t.actor} waits for {t.wish()}" for t in waiting if t.caller]
        others = ", ".join(turn.actor for turn in waiting if not turn.caller)
        steps = f"{step} steps" if what.endswith("after") else f"{step}"
        return f"{what} {steps}: {'; '.join(callers)}, and all others wait as well ({others})"

    def _give_up(self, error: LabError) -> _Turn:
        """Let a caller know that its wait is in vain."""
        callers = [turn for turn in self._turns.values() if turn.waiting and turn.caller]
        if not callers:
            raise error
        callers[0].error = error
        return callers[0]

    def _grant(self, operation: Operation, turn: _Turn) -> _Turn:
        turn.granted = operation
        self.step += 1
        return turn

    def _look(self, turn: _Turn) -> None:
        """Find out, in the thread that owns the sockets, what is possible."""
        turn.stale = False
        ready = [Operation(turn.actor, "receive", p) for p in turn.receives if p.can_receive()]
        if turn.sends is not None and turn.sends.can_send():
            ready.append(Operation(turn.actor, "send", turn.sends))
        if turn.always is not None:
            ready.append(turn.always)
        turn.ready = ready

    def _sleep(self, turn: _Turn) -> None:
        if threading.current_thread() is threading.main_thread():
            while not turn.go.acquire(timeout=SLICE):
                pass
        else:
            turn.go.acquire()

    def _wake(self, turn: _Turn) -> Operation:
        turn.waiting = False
        if turn.error is not None:
            error, turn.error = turn.error, None
            raise error
        if turn.granted is None or turn.stopping or self._over:
            raise Stopped
        operation, turn.granted = turn.granted, None
        turn.ready = []
        return operation
