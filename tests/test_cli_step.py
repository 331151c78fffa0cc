"""`pylm-lab step`: the real system in a terminal, moved, broken, looked at and saved by hand."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import pylm_lab as lab
from pylm_lab.cli import main

#: What a session may be about: so little that every line of it can be read.
SMALL = ("parallel", "--set", "messages=1", "--set", "workers=1")
TWO = ("parallel", "--set", "messages=2")
NEXT = "What could happen next:\n"
TO_WORKER = "until part=WorkerPush message=1 kind=send"
ENDED = "Nothing can move any more: the scenario has ended.\n"
STUCK = "Nothing can move any more, and the scenario has not ended:\n"


class Said(NamedTuple):
    """What a session came to."""

    code: int
    out: str
    errors: str

    @property
    def views(self) -> list[str]:
        """What could happen next, each time that it was shown, and what was said then."""
        return [words(view) for view in self.out.split(NEXT)[1:]]


def words(text: str) -> str:
    """The text without the numbers of steps."""
    lines = text.splitlines()
    told = [line.partition(": ")[2] if line.startswith("step ") else line for line in lines]
    return "\n".join(told).strip()


Session = Callable[..., Said]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Session:
    """Types lines into `pylm-lab step`, with the arguments in `asked`."""

    def run(*lines: str, asked: tuple[str, ...] = SMALL) -> Said:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return Said(main(["step", *asked]), *capsys.readouterr())

    return run


def test_it_tells_what_could_happen_and_what_has(session: Session) -> None:
    said = session("next", "2", "q", asked=("parallel",))
    assert (said.code, said.errors) == (0, "")
    assert said.out.startswith(
        "parallel: A client, a master and some workers: the messages are dealt in rounds.\n"
        "Servers and workers have started. Enter is one step, `help` tells the rest.\n\n"
    )
    assert said.views == [
        "1  client subscribes to its answers.\nclient subscribes to its answers.",
        "1  Pub learns that a subscription of client has changed.\n"
        "2  client subscribes to its answers.\n"
        "client subscribes to its answers.",
        "1  Pub learns that a subscription of client has changed.",
    ]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (["", "n"], ["next", "next"]),
        (["n", "2"], ["next", "choose 2"]),
        (["n", "c 2"], ["next", "choose 2"]),
        (["u kind=message", "f", "w"], ["until kind=message", "faults", "waits"]),
        (["b crash('worker1')", "r", "h"], ["break crash('worker1')", "run", "help"]),
        (["u part=worker1 kind=send", "d 1"], ["until kind=send part=worker1", "drop 1"]),
    ],
)
def test_one_letter_is_a_command(session: Session, short: list[str], long: list[str]) -> None:
    one, other = session(*short, "q"), session(*long, "quit")
    assert one.code == 0
    assert one == other


def test_several_steps_are_as_many_single_ones(session: Session) -> None:
    one, other = session("next 4", "q"), session("", "", "", "", "q")
    assert one.views[-1] == other.views[-1]
    steps = [line for line in other.out.splitlines() if line.startswith("step ")]
    assert len(steps) == 4
    assert [line for line in one.out.splitlines() if line.startswith("step ")] == steps


def test_run_goes_to_the_end_and_shows_the_answers(session: Session) -> None:
    said = session("run", "next", "q", asked=("parallel", "--set", "messages=12"))
    _, last, again = said.out.split(ENDED)
    answers = "".join(f"  {n:2}  worker{2 - n % 2} processed a message\n" for n in range(1, 11))
    assert last.strip() == again.strip() == f"12 answers:\n{answers}      … 2 more\n`quit` leaves."
    assert "\nsteps " in said.out
    assert " are left out.\nstep " in said.out


def test_until_stops_where_it_was_so(session: Session) -> None:
    said = session(TO_WORKER, "hops 2", "q")
    assert "WorkerPush sends message 1 to worker1.\n\nWhat" in said.out
    assert said.views[-1] == (
        "1  worker1 receives message 1 from WorkerPush.\n"
        "The router reads row 1 and hands message 1 to WorkerPush.\n"
        "WorkerPush gives message 1 to worker1. It has not arrived when the record ends."
    )


def test_what_never_comes_is_said_and_what_was_done_is_shown(session: Session) -> None:
    said = session("until message=9", "q")
    assert said.errors == ""
    assert "It never came to message='9': nothing can move any more after " in said.out
    assert "1  worker1 processed a message\n`quit` leaves." in said.out


def test_a_drop_loses_that_message_and_no_other(session: Session) -> None:
    said = session(TO_WORKER, "drop 1", "faults", "run", "q", asked=TWO)
    assert said.errors == ""
    lost = "Message 1 is lost between WorkerPush and worker1: a rule drops the 1st message."
    assert lost in said.out
    assert "worker1 receives message 1" not in said.out.partition(lost)[2]
    assert "No fault is planted.\n" in said.out
    assert "client receives message 2 from Pub." in said.out
    report = said.out.partition(STUCK)[2]
    assert report.startswith("client waits for a message at client:sub from server.Pub")
    assert "So something was lost on the way, never answered, or never sent." in report


def test_only_what_is_about_to_be_received_can_be_dropped(session: Session) -> None:
    said = session("drop 1", "until part=Pull kind=receive message=1", "drop 1", "q")
    assert said.errors == (
        "drop 1: only a message that somebody is about to receive can be dropped, and "
        "client subscribes to its answers\n"
        "drop 1: only a message that somebody is about to receive can be dropped, and "
        "Pull sends message 1 to the router\n"
    )
    assert "lost" not in said.out


def test_what_is_held_back_and_can_not_be_dropped_any_more_is_said(session: Session) -> None:
    delay = "break delay('WorkerPush->worker1', by=3)"
    said = session(delay, "until part=WorkerPush kind=send", "next", "drop 1", "faults", "q")
    assert "It was not lost: what was held back on its way comes in any case.\n" in said.out
    assert "No fault is planted.\n" in said.out


def test_a_fault_is_planted_listed_healed_and_acts(session: Session) -> None:
    said = session(
        "break drop('WorkerPush->worker1', nth=2)",
        "break crash('worker2')",
        "faults",
        "heal 2",
        "faults",
        "run",
        asked=("parallel", "--set", "messages=3"),
    )
    assert said.errors == ""
    told = (
        " 1  drop('WorkerPush→worker1', nth=2): a rule drops the 2nd message on WorkerPush→worker1."
    )
    other = " 2  crash('worker2', nth=1): a fault crashes worker2 before the 1st message that comes"
    assert f"{told}\n{other} to it.\nNo longer: a fault crashes worker2" in said.out
    assert f"to it.\n{told}\nsteps " in said.out
    assert " are left out" in said.out
    assert "Message 3 is lost between WorkerPush and worker1: a rule drops the 2nd" in said.out
    assert STUCK in said.out


def test_a_crash_of_a_part_is_told_with_the_end_of_the_scenario(session: Session) -> None:
    said = session("break crash('Pull')", "run", "next", "q")
    assert "Pull receives" not in said.out
    assert "A fault crashes Pull before the 1st message.\n" in said.out
    failed = (
        "Nothing can move any more, and the scenario has failed:\nThe server 'server' has ended"
    )
    assert said.out.count(failed) == 2


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("nxt", "there is no command 'nxt': did you mean 'next'? `help` lists them"),
        ("\\", "there is no command '\\\\': `help` lists them"),
        ("choose 7", "choose 7: choose from 1 to 2"),
        ("choose", "choose: give the number of what could happen, a whole number from 1 on"),
        ("2 1", "choose 2 1: give the number of what could happen, a whole number from 1 on"),
        ("next 0", "next 0: give how many steps, a whole number from 1 on"),
        ("run 5", "run 5: nothing comes after 'run'"),
        ("until", "until: say what, as in: until part=worker1 message=3 kind=receive"),
        ("until x=1", "until x=1: say what, as in: until part=worker1 message=3 kind=receive"),
        ("until part=workr1", "part='workr1' takes no part: did you mean 'worker1'?"),
        ("break drap('x')", "\"drap('x')\" is no fault: write drop('WorkerPush→worker1', nth=3)"),
        ("break crash('workr1')", "nobody is called 'workr1'; did you mean 'worker1'?"),
        ("heal 1", "heal 1: no fault is planted"),
        ("drop 9", "drop 9: choose from 1 to 2"),
        ("save", "save: name a file, as in: save mine.jsonl"),
        ("save absent/x.jsonl", "absent is no folder: make it first"),
    ],
)
def test_what_is_typed_wrongly_is_one_line_and_nothing_moves(
    session: Session, line: str, text: str
) -> None:
    right = session("next", "faults", "next", "q")
    wrong = session("next", line, "faults", "next", "q")
    assert wrong.code == 0
    assert text in wrong.errors
    assert wrong.errors.count("\n") == 1
    assert wrong.out == right.out


def test_help_names_every_command(session: Session) -> None:
    said = session("help", "q")
    listed = said.views[-1].splitlines()[1:]
    assert [line[5:11].strip() for line in listed] == [
        *("next", "choose", "run", "until", "break", "drop", "faults", "heal", "waits", "hops"),
        *("save", "help", "quit"),
    ]


def test_the_same_seed_goes_the_same_way(session: Session) -> None:
    ways = [session("run", "q", asked=("parallel", *seed)).out for seed in SEEDS]
    assert ways[0] == ways[1]
    assert len(set(ways)) == 3


SEEDS = [("--seed", "1"), ("--seed", "1"), ("--seed", "2"), ()]


def test_its_trace_can_be_replayed(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, again = tmp_path / "mine.jsonl", tmp_path / "again.jsonl"
    fault = "drop('WorkerPush->worker2')"
    asked = ("parallel", "--set", "workers=3", "--fault", fault, "--trace", str(trace))
    said = session("next", "2", "break crash('worker1', nth=2)", "run", "q", asked=asked)
    assert said.out.endswith(f"\nThe trace is in {trace}.\n")
    assert main(["replay", str(trace), "--trace", str(again)]) == 0
    assert capsys.readouterr().out.startswith("The same run, in all of ")
    one, other = lab.Trace.load(trace), lab.Trace.load(again)
    assert one.events == other.events
    assert one.options["workers"] == 3
    assert sum(event.what == "fault" for event in one.events) == 2


def test_the_trace_of_a_run_that_was_left_in_the_middle_can_be_replayed(
    session: Session, tmp_path: Path
) -> None:
    trace, so_far = tmp_path / "mine.jsonl", tmp_path / "so far.jsonl"
    session(TO_WORKER, f"save {so_far}", "next", asked=(*SMALL, "--trace", str(trace)))
    assert main(["replay", str(trace)]) == main(["replay", str(so_far)]) == 0


def test_what_has_happened_so_far_can_be_saved(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    said = session("next", f"save {path}", "next", f"save {path}", f"save {path} --force", "q")
    assert said.errors == f"{path} is there already: choose another name, or say --force\n"
    assert said.out.count(f"The trace so far is in {path}.\n") == 2
    assert [one.kind for one in lab.Trace.load(path).decisions[-2:]] == ["subscribe", "receive"]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (["paralel"], "did you mean 'parallel'"),
        (["parallel", "--set", "wrokers=3"], "no option 'wrokers': it has messages, workers"),
        (["parallel", "--set", "workers=0"], "needs at least 1"),
        (["parallel", "--fault", "drap"], "'drap' is no fault"),
        (["parallel", "--fault", "crash('workr1')"], "did you mean 'worker1'"),
        (["parallel", "--fault", "drop('clent->Pull')"], "did you mean 'client'"),
        (["parallel", "--trace", "."], "is there already"),
    ],
)
def test_what_can_not_be_stepped_is_said_at_once(
    session: Session, asked: list[str], text: str
) -> None:
    said = session("run", "q", asked=tuple(asked))
    assert (said.code, said.out) == (2, "")
    assert said.errors.startswith("pylm-lab: ")
    assert text in said.errors
    assert said.errors.count("\n") == 1


def test_a_cluster_that_can_not_even_start_is_an_error(session: Session) -> None:
    said = session("run", "q", asked=("parallel", "--fault", "drop('worker1->Cache')"))
    assert (said.code, said.out) == (2, "")
    assert "pylm-lab: worker1 can't begin to work: worker1 waits for an answer" in said.errors


# ------------------------------------------------------------------------------------ from outside


def a_process(
    *asked: str, stdin: int = subprocess.PIPE, encoding: str = "utf-8", cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pylm_lab", "step", *asked],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        cwd=cwd,
    )


def test_piped_it_reads_to_the_end_and_says_no_prompt() -> None:
    process = a_process(*SMALL)
    out, errors = process.communicate(b"next\n\xff\xfe\nrun\n", timeout=30)
    assert process.returncode == 0
    assert errors.decode() == "there is no command '\ufffd\ufffd': `help` lists them\n"
    text = out.decode()
    assert text.endswith("1 answer:\n   1  worker1 processed a message\n`quit` leaves.\n")
    assert "> " not in text
    assert "\x1b" not in text


def test_a_console_without_arrows_shows_question_marks() -> None:
    process = a_process(*SMALL, encoding="ascii")
    out, errors = process.communicate(b"break drop('WorkerPush->worker1')\n", timeout=30)
    assert (process.returncode, errors) == (0, b"")
    assert b"the 1st message on WorkerPush?worker1." in out


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_terminal_is_asked_and_ctrl_d_leaves() -> None:
    master, slave = os.openpty()
    try:
        process = a_process(*SMALL, stdin=slave)
        os.write(master, b"next\n\x04")
        out, errors = process.communicate(timeout=30)
    finally:
        os.close(slave)
        os.close(master)
    assert (process.returncode, errors) == (0, b"")
    assert out.decode().count("\n> ") == 2
    assert out.endswith(b"\n> \n")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_ends_everything_and_says_so(tmp_path: Path) -> None:
    process = a_process(*SMALL, "--trace", "mine.jsonl", cwd=tmp_path)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"break drop('WorkerPush->worker1')\nfaults\n")
    process.stdin.flush()
    while not process.stdout.readline().startswith(b" 1  drop("):
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == b"\npylm-lab: interrupted\n"
    assert os.listdir(tmp_path) == []
