"""Turnstile: how the turn goes round among those who wait at a gate.

Whoever has the turn and needs it no more looks for the next: somebody who has to look at his
sockets, a caller who has what he waited for, or who does the operation that the chooser chooses.
"""

from __future__ import annotations

from collections.abc import Callable

from pylm_lab.choices import Chooser, Operation
from pylm_lab.errors import Deadlock, Endless, LabError, RunError
from pylm_lab.hook import Decision
from pylm_lab.turns import Driver, Stopped, Turn, Waiter, wish
from pylm_lab.waits import Waits

__all__ = ["Turnstile"]


class Turnstile:
    """The turns of a run, and the rules by which they go on."""

    def __init__(self, chooser: Chooser) -> None:
        self.step = 0
        self.time = 0.0
        #: Operations that were let happen.
        self.count = 0
        #: Steps of the run after which whoever waits is given up; None: never.
        self.limit: int | None = None
        self.chooser = chooser
        #: Told of each operation when it is its turn.
        self.tell: Callable[[Decision], None] = lambda _: None
        self.failure: BaseException | None = None
        self._turns: dict[object, Turn] = {}
        self._drivers: list[Driver] = []
        #: What has happened, while somebody wants to know it.
        self.recent: list[Operation] | None = None
        #: Who moves first at the moment, and how many drive from before that.
        self._focus: frozenset[str] | None = None
        self._before = 0
        #: The chooser is asked just now.
        self._choosing = False
        #: The threads of actors.
        self._actors: set[int] = set()
        self._over = False

    def waiting(self) -> Waits:
        """Who waits for what."""
        owners = [owner for owner in self._turns if isinstance(owner, Waiter)]
        return Waits(wait for owner in owners if (wait := owner.waiting()) is not None)

    def ready(self, actor: str) -> list[Operation]:
        """What the actor of this name could do now."""
        return [
            op for t in self._turns.values() if t.actor == actor and t.waiting for op in t.ready
        ]

    def state(self, actor: str) -> str:
        """What the actor of this name does, in words that follow it; empty if there is none."""
        for owner, turn in self._turns.items():
            if turn.actor != actor:
                continue
            if turn.stopping:
                return "has ended"
            if not turn.waiting:
                return "does something else" if not turn.caller else "asks for nothing"
            if turn.always is not None:
                return f"wants to {turn.always.kind}"
            wait = owner.waiting() if isinstance(owner, Waiter) else None
            return f"waits for {wait.what if wait else wish(turn.receives, turn.sends)}"
        return ""

    def _negotiate(self, me: Turn) -> Operation:
        """Hold the turn until it is mine to use."""
        while True:
            chosen = self._next(me)
            if chosen is me:
                return self._wake(me)
            chosen.go.release()
            me.sleep()
            if me.granted is not None or me.error is not None or me.stopping or self._over:
                return self._wake(me)

    def _drive(self, me: Driver, first: Callable[[], None] | None = None) -> bool:
        """Give the turn away until it comes back; `first` gives it to somebody himself."""
        # Of this thread there is one: another was left in the middle, by Ctrl-C.
        self._drivers = [driver for driver in self._drivers if driver.thread != me.thread]
        try:
            self._drivers.append(me)
            if first is not None:
                first()
                me.sleep()
            while not (me.done or me.error or self._over):
                chosen = self._next(me)
                if chosen is not me:
                    chosen.go.release()
                    me.sleep()
        except (Stopped, LabError):
            raise
        except BaseException:
            self._over = True  # as in `ask`
            raise
        finally:
            self._drivers = [driver for driver in self._drivers if driver is not me]
        if me.error is not None:
            raise me.error
        return me.until()

    def _hand_on(self) -> None:
        """Give the turn away for good."""
        if not self._over:
            self._next(None).go.release()
            return
        for turn in self._turns.values():
            if turn.caller and turn.waiting and turn.error is None:
                turn.error = self.failure or RunError(
                    f"{turn.actor} waits in vain: somebody was stopped, and with it the whole run"
                )
                turn.go.release()
        self._wake_drivers()

    def _wake_drivers(self) -> None:
        """The run is over: whoever lets others move has nothing to wait for."""
        for driver in self._drivers:
            driver.go.release()

    def _next(self, me: Turn | None) -> Turn:
        """Who has to have the turn now: somebody who must look, or who may move."""
        for turn in self._turns.values():
            if turn.stale and turn.waiting:
                if turn is not me:
                    return turn
                turn.look()
        for driver in reversed(self._drivers[self._before :]):
            if driver.until():
                return back(driver)
        options = self._options()
        if not options:
            return self._standstill()
        if self.limit is not None and self.step >= self.limit:
            return self._give_up(Endless(self._still("still moving after", self.limit)))
        try:
            position = self._position(options)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a chooser may be anybody's
            self._over, self.failure = True, error
            return self._give_up(error)
        if position is not None:
            return self._grant(*options[position])
        # The chooser leaves it to the one who drives.
        if self._drivers:
            return back(self._drivers[-1])
        return self._give_up(RunError(self.chooser.ended))

    def _options(self) -> list[tuple[Operation, Turn]]:
        """What can happen now; if nothing can, what does when the clock jumps."""
        turns = [turn for turn in self._turns.values() if turn.waiting]
        now = [(operation, turn) for turn in turns for operation in turn.ready]
        if now:
            return now
        late: list[tuple[float, Operation, Turn]] = []
        for turn in turns:
            for port in turn.receives:
                at = port.arrivals.due
                if at is not None:
                    held = Operation(turn.actor, "receive", port, port.arrivals.first)
                    late.append((at, held, turn))
        late += [
            (turn.deadline, Operation(turn.actor, "timeout"), turn)
            for turn in turns
            if turn.deadline is not None
        ]
        if not late:
            return []
        at, operation, turn = min(late, key=lambda one: one[0])
        operation.jumps_to = at
        return [(operation, turn)]

    def _position(self, options: list[tuple[Operation, Turn]]) -> int | None:
        if self._focus is None:
            try:
                return self._choose([operation for operation, _ in options])
            except BaseException:
                self._choosing = False  # Ctrl-C may have come just before that
                raise
        for position, (operation, _) in enumerate(options):
            if operation.actor in self._focus and operation.jumps_to is None:
                self.chooser.forced(operation)
                return position
        if any(driver.patient for driver in self._drivers[self._before :]):
            return None
        self.chooser.forced(options[0][0])
        return 0

    def _choose(self, options: list[Operation]) -> int | None:
        try:
            self._choosing = True
            return self.chooser.choose(options)
        finally:
            self._choosing = False

    def _standstill(self) -> Turn:
        """Nothing can move."""
        if self._drivers and self._drivers[-1].patient:
            return back(self._drivers[-1])
        waits = self.waiting()
        told = f"nothing can move any more at step {self.step}: {waits}"
        return self._give_up(Deadlock(told, waits))

    def _still(self, what: str, step: int) -> str:
        waiting = [turn for turn in self._turns.values() if turn.waiting]
        callers = [f"{t.actor} waits for {wish(t.receives, t.sends)}" for t in waiting if t.caller]
        return f"{what} {step} steps: {'; '.join(callers) or 'no call waits'}"

    def _give_up(self, error: BaseException) -> Turn:
        """Let a caller know that its wait is in vain."""
        callers: list[Turn] = [t for t in self._turns.values() if t.waiting and t.caller]
        # A call that an actor makes, in a function of its user's, is not the last to ask.
        callers.sort(key=lambda turn: turn.thread in self._actors)
        drivers = self._drivers[-1:]
        patient = bool(drivers) and drivers[0].patient
        told = [*drivers, *callers] if patient else [*callers, *drivers]
        if not told:
            raise error
        told[0].error = error
        return told[0]

    def _grant(self, operation: Operation, turn: Turn) -> Turn:
        turn.granted = operation
        self.step += 1
        self.count += 1
        operation.step = self.step
        if self.recent is not None:
            self.recent.append(operation)
        if operation.jumps_to is not None:
            self.time = max(self.time, operation.jumps_to)
        where = operation.port.id if operation.port else ""
        self.tell(Decision(at=self.step, kind=operation.kind, actor=operation.actor, port=where))
        return turn

    def _wake(self, turn: Turn) -> Operation:
        turn.waiting = False
        if turn.error is not None:
            error, turn.error = turn.error, None
            raise error
        if turn.granted is None or turn.stopping or self._over:
            raise Stopped
        operation, turn.granted = turn.granted, None
        turn.ready = []
        return operation


def back(driver: Driver) -> Driver:
    """The driver has the turn back."""
    driver.done = True
    return driver
