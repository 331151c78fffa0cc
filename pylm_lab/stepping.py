"""Stepping: a controlled run, moved by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pylm_lab.arguments import count, nearest
from pylm_lab.breaking import Breaking
from pylm_lab.choices import Stepped
from pylm_lab.errors import Deadlock, RunError, WiringError
from pylm_lab.faults import parse
from pylm_lab.hook import Decision
from pylm_lab.moves import Move, Moves, Names
from pylm_lab.party import Party
from pylm_lab.replaying import Divergence, Replayed
from pylm_lab.schedule import Gate

__all__ = ["Stepping"]

_OPERATIONS = ("start", "connect", "subscribe", "unsubscribe", "send", "receive", "timeout")
_KINDS = ("message", "credit", "request", "answer", "ready")


class Stepping:
    """Lets a party move, and tells what has moved."""

    def __init__(self, party: Party, breaking: Breaking) -> None:
        self._party = party
        self._breaking = breaking
        self._replayed: Replayed | None = None
        assert party.run.breakage is not None
        self._names = Names(party.run.breakage)
        if party.run.gate is not None:
            party.run.hooks.add(self._names)

    def follow(self, replayed: Replayed) -> None:
        """Let a replay know the names, and plant what was planted."""
        gate = self._party.run.gate
        assert gate is not None
        self._replayed = replayed
        replayed.names = self._names
        replayed.state, replayed.ready = gate.state, gate.ready
        replayed.break_ = self._break
        replayed.prepare()

    def _break(self, decision: Decision) -> None:
        fault = parse(decision.text)
        if decision.kind == "heal":
            self._breaking.heal(fault)
        else:
            # It may name somebody who joins later.
            self._breaking.inject(fault, known=True)

    @property
    def divergence(self) -> Divergence | None:
        """What was chosen then, and was not possible now; None as long as all was."""
        return self._replayed.divergence if self._replayed else None

    def _gate(self) -> Gate:
        gate = self._party.run.gate
        if gate is None:
            raise RunError(
                "the cluster runs free, so nobody can let it move step by step: make one with "
                "schedule='stepped', or a seed"
            )
        if self._party.ended:
            raise RunError("the cluster has ended: make a new one")
        self._party.begin()
        return gate

    def pending(self) -> Moves:
        """What could happen next."""
        gate = self._gate()
        names = self._names
        return Moves(names.move(n, one) for n, one in enumerate(gate.possible(), start=1))

    def step(self, n: int | Move, choice: int | Move | None) -> Moves:
        """Let some operations happen."""
        if isinstance(n, Move):
            if choice is not None:
                raise WiringError(f"step({n.sentence!r}, choice={choice!r}): give one of the two")
            n, choice = 1, n
        count("n", n, "how many operations to let happen")
        gate = self._gate()
        if choice is not None:
            self._choose(gate, choice)
        try:
            return self._move(gate, lambda move: move.number == n)
        finally:
            if isinstance(gate.chooser, Stepped):
                gate.chooser.wanted = None  # should Ctrl-C have come before it happened

    def _choose(self, gate: Gate, choice: int | Move) -> None:
        pending = self.pending()
        if isinstance(choice, Move):
            same = (choice.name, choice.message)
            found = [move for move in pending if (move.name, move.message) == same]
        else:
            count("choice", choice, "the number of what is pending")
            found = [move for move in pending if move.number == choice]
        if not found:
            many = f"there are {len(pending)}, from 1 on" if pending else "nothing can move"
            told = f"{choice.sentence!r} can't happen now" if isinstance(choice, Move) else ""
            raise WiringError(f"{told or f'choice={choice}'}: {many}. See cluster.pending")
        if not isinstance(gate.chooser, Stepped):
            raise RunError("what comes next is not yours to choose: the cluster is not stepped")
        gate.chooser.wanted = found[0].name

    def run(self) -> Moves:
        """Let everything happen."""
        moves = self._move(self._gate(), lambda _: False)
        self._stuck()
        return moves

    def run_until(
        self,
        part: str | None,
        message: int | str | None,
        kind: str | None,
        when: Callable[[Move], Any] | None,
    ) -> Moves:
        """Let everything happen until something has."""
        gate = self._gate()
        wanted = {"part": part, "message": message, "kind": kind, "when": when}
        given = {name: value for name, value in wanted.items() if value is not None}
        if not given:
            raise WiringError("run_until() of what? Say part=, message=, kind= or when=")
        if when is not None and not callable(when):
            raise WiringError(
                f"when={when!r}: give a function of a move, which says whether to stop"
            )
        if kind is not None and kind not in (*_OPERATIONS, *_KINDS):
            known = ", ".join((*_OPERATIONS, *_KINDS))
            raise WiringError(f"kind={kind!r}: it is one of {known}")
        if message is not None and not re.fullmatch(r"r?\d+(\.\d+)*", str(message)):
            raise WiringError(f"message={message!r}: its number, such as 3, '1.2' or 'r4'")
        if part is not None:
            self._known(part)
        reached = [False]

        def until(move: Move) -> bool:
            reached[0] = (
                (part is None or part in (move.actor, self._names.label(move.actor)))
                and (message is None or str(message) == move.message)
                and (kind is None or kind in (move.operation, move.kind))
                and (when is None or bool(when(move)))
            )
            return reached[0]

        moves = self._move(gate, until)
        if not reached[0]:
            self._stuck()
            said = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise RunError(
                f"it never came to {said}: nothing can move any more after {len(moves)} more "
                f"step{'' if len(moves) == 1 else 's'}"
            )
        return moves

    def _known(self, part: str) -> None:
        names = self._names
        known = dict.fromkeys([*map(names.label, names.actors), *names.actors])
        if part not in known:
            raise WiringError(f"part={part!r} takes no part: {nearest(part, known)}")

    def _move(self, gate: Gate, until: Callable[[Move], bool]) -> Moves:
        """Let everything happen until a move is the last; returns all that have happened."""
        names, moves = self._names, Moves()
        # One by one: what is asked of a move may look around, in the thread of who asks.
        try:
            moved = True
            while moved:
                gate.recent = []
                moved = gate.drive(_once(gate))
                # Of what happened when somebody joined, all is told.
                for operation in gate.recent:
                    moves.append(names.move(len(moves) + 1, operation))
                    if until(moves[-1]):
                        return moves
        finally:
            gate.recent = None
        if not moves:
            self._stuck()
        return moves

    def _stuck(self) -> None:
        """Nothing can move any more: that is well if no call waits."""
        if any(not task.done for task in self._party.tasks):
            waits = self._party.waiting()
            step = self._gate().step
            raise Deadlock(f"nothing can move any more at step {step}: {waits}", waits)


def _once(gate: Gate) -> Callable[[], bool]:
    """True as soon as something more has happened."""
    before = gate.count
    return lambda: gate.count > before
