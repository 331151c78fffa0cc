"""The command `step`: a terminal in which the real system moves as you say.

What has happened is told with its step number, what could happen next with the number to choose it.
Whatever is typed wrongly is answered with one line, and nothing has moved.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pylm_lab import faults
from pylm_lab.actor import DEADLINE
from pylm_lab.cli.running import know, make, save
from pylm_lab.cli.telling import LINES, tell_answers, troubles
from pylm_lab.cluster import Cluster
from pylm_lab.draw.story import tell
from pylm_lab.errors import Deadlock, LabError, RunError, WiringError
from pylm_lab.moves import Move, Moves
from pylm_lab.output import claim_file
from pylm_lab.scenarios import get
from pylm_lab.tasks import Task
from pylm_lab.trace import Trace

__all__ = ["step"]

#: Steps that are told of a long way.
STEPS = 20
#: Of the longest number that is read.
DIGITS = 9


def step(asked: argparse.Namespace) -> int:
    """`pylm-lab step SCENARIO`."""
    scenario = get(asked.scenario)
    cluster, options = make(asked, schedule="stepped")
    with cluster:
        call = cluster.start(scenario.play, cluster, **options)
        # Who could not even start ends by itself, in a moment of its own.
        if call.error is not None or (not cluster.pending and call.join(DEADLINE)):
            call.result()
        know(cluster.faults, cluster.trace)
        print(f"{scenario.name}: {scenario.summary}")
        _Terminal(cluster, call).read()
    save(cluster.trace, asked.trace)
    return 0


class _Command(NamedTuple):
    """What can be typed: its one letter, what comes after it, and what it does."""

    letter: str
    takes: str
    text: str
    do: Callable[[str], None]


class _Terminal:
    """Reads commands, one a line, until there are no more."""

    def __init__(self, cluster: Cluster, call: Task) -> None:
        self._cluster = cluster
        self._call = call
        self._told = len(_steps(cluster.trace))
        self._left = False
        self._commands = {
            "next": _Command("n", "[N]", "one step, as Enter does; or N steps", self._next),
            "choose": _Command(
                "c", "N", "let number N happen; the number alone will do", self._choose
            ),
            "run": _Command("r", "", "go on until nothing can move any more", self._run),
            "until": _Command(
                "u",
                "WHAT",
                "go on until it has happened, as in: until part=worker1 message=3 kind=receive",
                self._until,
            ),
            "break": _Command(
                "b",
                "FAULT",
                "break something, as in: break drop('WorkerPush->worker1', nth=3)",
                self._break,
            ),
            "drop": _Command(
                "d", "N", "lose the message that number N is about to receive", self._drop
            ),
            "faults": _Command("f", "", "the faults that may still act", self._faults),
            "heal": _Command("", "N", "let fault N act no more", self._heal),
            "waits": _Command("w", "", "who waits, and for whom", self._waits),
            "hops": _Command(
                "", "[N]", f"the last hops of messages, N of them ({LINES})", self._hops
            ),
            "save": _Command(
                "", "FILE", "save the trace so far; with --force over another", self._save
            ),
            "help": _Command("h", "", "this list", self._help),
            "quit": _Command("q", "", "end everything; Ctrl-D as well", self._quit),
        }
        self._names = {one.letter: name for name, one in self._commands.items() if one.letter}

    def read(self) -> None:
        """Show what could happen next, and do what is said, until that is to quit."""
        print("Servers and workers have started. Enter is one step, `help` tells the rest.")
        self._show()
        prompt = ""
        if sys.stdin.isatty():
            prompt = "> "
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401 - input() then knows the arrow keys
        while not self._left:
            try:
                line = input(prompt)
            except EOFError:
                print(end="\n" if prompt else "")
                return
            try:
                self._do(line)
            except LabError as error:
                sys.stdout.flush()
                print(error, file=sys.stderr, flush=True)

    def _do(self, line: str) -> None:
        word, _, rest = line.strip().partition(" ")
        if word.isdecimal():
            word, rest = "choose", line.strip()
        name = self._names.get(word, word) or "next"
        if name not in self._commands:
            near = difflib.get_close_matches(word, self._commands, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise WiringError(f"there is no command {word!r}: {hint}`help` lists them")
        command, rest = self._commands[name], rest.strip()
        if rest and not command.takes:
            raise _wrong(name, rest, f"nothing comes after {name!r}")
        command.do(rest)

    # Moving

    def _next(self, rest: str) -> None:
        self._move(map(self._cluster.step, [_number(rest or "1", "next", "how many steps")]))

    def _choose(self, rest: str) -> None:
        self._move(map(self._cluster.step, [self._pending(rest, "choose")]))

    def _run(self, rest: str) -> None:
        self._move(iter(self._cluster.step, Moves()))

    def _until(self, rest: str) -> None:
        wanted = dict(word.partition("=")[::2] for word in rest.split())
        part, message, kind = (wanted.pop(name, None) for name in ("part", "message", "kind"))
        if wanted or not (part or message or kind):
            raise _wrong(
                "until", rest, "say what, as in: until part=worker1 message=3 kind=receive"
            )
        self._move(map(self._cluster.run_until, [part], [message], [kind]))

    def _pending(self, rest: str, command: str) -> Move:
        number = _number(rest, command, "the number of what could happen")
        pending = self._cluster.pending
        if not 1 <= number <= len(pending):
            many = f"choose from 1 to {len(pending)}" if pending else "nothing can move"
            raise _wrong(command, number, many)
        return pending[number - 1]

    def _move(self, leaps: Iterator[Moves]) -> None:
        """Make them one after the other, tell what has happened, and what could be next."""
        moves, why = Moves(), ""
        try:
            for leap in leaps:
                moves += leap
        except Deadlock:
            pass  # what could be next is nothing, and why
        except RunError as error:
            # A server has failed, and the call is about to; or it never came to what was wanted.
            why = str(error)
            self._call.join(DEADLINE)
        self._happened(moves)
        if why and self._call.error is None:
            print(_sentence(why))
        self._show()

    # Breaking

    def _break(self, rest: str) -> None:
        fault = self._cluster.inject(faults.parse(rest))
        print(f"From now on {fault}.")

    def _drop(self, rest: str) -> None:
        move = self._pending(rest, "drop")
        if move.operation != "receive" or move.kind in ("", "ready") or not move.link:
            why = "only a message that somebody is about to receive can be dropped, and"
            raise _wrong("drop", move.number, f"{why} {move.sentence.removesuffix('.')}")
        fault = self._cluster.inject(faults.drop(move.link))
        self._move(map(self._cluster.step, [move]))
        if fault in self._cluster.faults:
            self._cluster.heal(fault)
            print("It was not lost: what was held back on its way comes in any case.")

    def _heal(self, rest: str) -> None:
        number = _number(rest, "heal", "the number of a fault")
        planted = self._cluster.faults
        if not 1 <= number <= len(planted):
            many = f"choose from 1 to {len(planted)}" if planted else "no fault is planted"
            raise _wrong("heal", number, many)
        self._cluster.heal(planted[number - 1])
        print(f"No longer: {planted[number - 1]}.")

    # Looking

    def _faults(self, rest: str) -> None:
        planted = self._cluster.faults
        for number, fault in enumerate(planted, start=1):
            print(f"{number:2}  {fault!r}: {fault}.")
        if not planted:
            print("No fault is planted.")

    def _waits(self, rest: str) -> None:
        print(self._cluster.waiting())

    def _hops(self, rest: str) -> None:
        many = _number(rest, "hops", "how many") if rest else LINES
        steps = tell(self._cluster.trace)
        for one in steps[-many:]:
            print(f"step {one.at}: {one.sentence}")
        if not steps:
            print("No message has moved yet.")

    def _save(self, rest: str) -> None:
        name = rest.removesuffix("--force").strip()
        if not name:
            raise _wrong("save", rest, "name a file, as in: save mine.jsonl")
        path = claim_file(Path(name), force=rest.endswith("--force"))
        self._cluster.trace.save(path)
        print(f"The trace so far is in {path}.")

    def _help(self, rest: str) -> None:
        for name, command in self._commands.items():
            print(f"  {command.letter:2} {name:6} {command.takes:6} {command.text}")

    def _quit(self, rest: str) -> None:
        self._left = True

    # Telling

    def _happened(self, moves: Moves) -> None:
        """Tell the last of what has happened, and whatever went wrong."""
        trace = self._cluster.trace
        chosen = _steps(trace)
        new, self._told = chosen[self._told :], len(chosen)
        if not new:
            return
        first, shown = new[0], moves[-STEPS:]
        hidden, new = new[: len(new) - len(shown)], new[len(new) - len(shown) :]
        told: dict[int, list[str]] = {}
        for at, sentence in troubles(trace):
            if at >= first:
                told.setdefault(at, []).append(sentence)
        if hidden:
            but = ", but for what went wrong" if any(at <= hidden[-1] for at in told) else ""
            print(f"steps {first} to {hidden[-1]} are left out{but}.")
        received = {event.at for event in trace.events if event.what == "receive"}
        for at, move in zip(new, shown, strict=True):
            # What a fault has taken away was not received.
            if at not in told or move.operation != "receive" or at in received:
                told.setdefault(at, []).insert(0, move.sentence)
        for at in sorted(told):
            for sentence in told[at]:
                print(f"step {at}: {sentence}")

    def _show(self) -> None:
        """What could happen next; or how it stands when nothing can."""
        pending = self._cluster.pending
        print()
        if pending:
            print("What could happen next:")
            print(pending)
        elif not self._call.done:
            print("Nothing can move any more, and the scenario has not ended:")
            print(self._cluster.waiting())
        elif self._call.error is not None:
            self._call.was_asked = True
            print("Nothing can move any more, and the scenario has failed:")
            print(_sentence(str(self._call.error)))
            print("`quit` leaves.")
        else:
            print("Nothing can move any more: the scenario has ended.")
            tell_answers(self._call.result())
            print("`quit` leaves.")


def _steps(trace: Trace) -> list[int]:
    """The numbers of the steps in which somebody moved."""
    return [one.at for one in trace.decisions if one.kind not in ("inject", "heal", "quiet")]


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."


def _number(rest: str, command: str, what: str) -> int:
    if not rest.isdecimal() or len(rest) > DIGITS or int(rest) < 1:
        raise _wrong(command, rest, f"give {what}, a whole number from 1 on")
    return int(rest)


def _wrong(command: str, rest: object, why: str) -> WiringError:
    return WiringError(f"{f'{command} {rest}'.strip()}: {why}")
