"""`pylm-lab run SCRIPT…`: who is waited for, what is told, and that nothing is left."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import PATIENCE, free_ports, within

from pylm_lab.cli import main, scripts
from pylm_lab.cli.scripts import split

posix = pytest.mark.skipif(os.name != "posix", reason="sends signals to a process")
# Scripts as users write them, which do something now and then until they are told to end. They
# sleep because that hears Ctrl-C on every system, which waiting for an event does not.
FOREVER = "import time\nprint('up')\nwhile True: time.sleep(0.05)\n"
DEAF = "import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)\n"
PID = "import os\nprint(os.getpid())\n"
HEARS = """
import time
try:
    print("up")
    while True: time.sleep(0.05)
except KeyboardInterrupt:
    print("heard")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to write scripts to, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(**texts: str) -> None:
    """Scripts, in this folder."""
    for name, text in texts.items():
        Path(f"{name}.py").write_text(text, encoding="utf-8", newline="\n")


def table(text: str) -> dict[str, list[str]]:
    """The report: name → how it ended, and its exit code."""
    found = {}
    for line in text[text.index("\nscript ") :].splitlines()[2:]:
        name, how, code, _ = [cell.strip() for cell in line.split("  ") if cell.strip()]
        found[name] = [how, code]
    return found


WORKERS = ['"worker.py" one', "worker.py two"]
CLUSTERS = {
    "parallel": (["master.py", *WORKERS, "client.py"], "processed a message"),
    "template, client first": (["client.py", "template.py", *WORKERS, "client.py"], "a message"),
    "single": (["server.py", "client.py"], "server processed a message"),
    "pipeline": (
        ["pipeline.py", "server.py next", "client.py 'server.foo pipeline.bar' 2"],
        "pipeline processed server processed a message",
    ),
}


@posix
@pytest.mark.parametrize("which", list(CLUSTERS))
def test_documented_scripts_run_together(
    which: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    monkeypatch.chdir(root / "tests" / "scripts")
    monkeypatch.setenv("PYLM_LAB_PLACES", " ".join(free_ports(5)))
    words, answer = CLUSTERS[which]
    assert main(["run", *words, "--timeout", "30"]) == 0
    told = capsys.readouterr()
    clients = sum(word.startswith("client") for word in words)
    answers = [line for line in told.out.splitlines() if line.endswith(answer)]
    assert len(answers) == 10 * clients
    assert all(line.startswith("client") for line in answers)
    assert "INFO - server is ready" in told.out
    ended = list(table(told.out).values())
    assert ended.count(["by itself", "0"]) == clients
    assert ended.count(["when told to", "130"]) == len(words) - clients
    assert "Traceback" not in told.err


@pytest.mark.usefixtures("here")
def test_lines_bear_the_name_of_who_wrote_them_where_they_were_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(a="import sys\nprint('für\\x00')\nprint('no', file=sys.stderr)", longer="print(end='x')")
    assert main(["run", "longer.py", "a.py", "--for", "20"]) == 0
    told = capsys.readouterr()
    assert "a      | für\x00\n" in told.out
    assert "longer | x\n" in told.out
    assert "a      | no\n" in told.err
    assert "\x1b" not in told.out + told.err


@posix
@pytest.mark.usefixtures("here")
def test_all_clients_are_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    # One client is still there when the other has ended: how much longer does not matter.
    write(forever=FOREVER, client="import sys, time\ntime.sleep(float(sys.argv[1]))")
    assert main(["run", "client.py 0.3", "forever.py", "client.py 0"]) == 0
    told = table(capsys.readouterr().out)
    assert told["client 0.3"] == told["client 0"] == ["by itself", "0"]
    assert told["forever"][0] == "when told to"


@pytest.mark.usefixtures("here")
def test_a_script_that_fails_ends_all_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    write(forever=FOREVER, bad="print('almost')\n1 / 0")
    with within(5, "the end"):
        assert main(["run", "bad.py", "forever.py"]) == 1
    told = capsys.readouterr()
    assert table(told.out)["bad"] == ["by itself: failed", "1"]
    blame = told.err[told.err.index("pylm-lab: bad failed with exit code 1; its last lines:\n") :]
    assert "  almost\n" in blame
    assert "  ZeroDivisionError: division by zero\n" in blame


@posix
@pytest.mark.usefixtures("here")
def test_servers_alone_run_for_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    write(one=FOREVER, two=FOREVER)
    assert main(["run", "one.py", "two.py", "--for", "0.2"]) == 0
    assert {how for how, _ in table(capsys.readouterr().out).values()} == {"when told to"}


@posix
@pytest.mark.usefixtures("here")
def test_a_client_that_does_not_end_in_time_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    write(one=FOREVER)
    assert main(["run", "one.py", "--timeout", "0.2"]) == 1
    assert "pylm-lab: one had not ended after 0.2 s" in capsys.readouterr().err


@posix
@pytest.mark.usefixtures("here")
def test_who_does_not_hear_ctrl_c_is_ended_by_force(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "ENDS", 0.2)
    monkeypatch.setattr(scripts, "TERMINATES", 0.1)
    write(deaf=DEAF + FOREVER)
    assert main(["run", "deaf.py", "--for", "0.3"]) == 1
    told = capsys.readouterr()
    assert table(told.out) == {"deaf": ["by force: failed", "-9"]}
    assert "deaf did not end within 0.2 s of Ctrl-C" in told.err


@posix
@pytest.mark.usefixtures("here")
def test_what_a_script_has_started_ends_with_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "REST", 0.2)
    write(deaf=DEAF + FOREVER, parent=PARENT)
    assert main(["run", "parent.py"]) == 0
    pid = int(capsys.readouterr().out.split("child ")[1].split()[0])
    assert is_gone(pid)


PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "deaf.py"])
print("child", child.pid)
"""


def is_gone(pid: int) -> bool:
    """It runs no more; a zombie may wait for a parent that never asks."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["there.py", "missing.py"], "run: 'missing.py' is no file: nothing was started"),
        (["folder.py"], "'folder.py' is a folder"),
        (["there.py", "parallel"], "'parallel' is no script, and 'there.py' is one"),
        (["parallel", "single"], "'parallel single' are 2 scenarios: give one"),
        (["there.py 'x"], "can't be split: no closing quotation"),
        (["there.py", "--seed", "1"], "--seed is for scenarios"),
        (["parallel", "--for", "1"], "--for is for scripts"),
        (["there.py", "--for", "-1"], "--for"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_can_not_be_run_is_told_before_anything_starts(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(there="print('started')")
    Path("folder.py").mkdir()
    assert main(["run", *words]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("pylm-lab: ")
    assert text in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""


def test_arguments_are_split_as_a_shell_does_and_paths_of_windows_stay() -> None:
    assert split("worker.py 'a b' c\\ d", windows=False) == ["worker.py", "a b", "c d"]
    assert split(r'"C:\a b\worker.py" x\y', windows=True) == [r"C:\a b\worker.py", r"x\y"]


def test_a_scenario_is_one_also_where_a_file_bears_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("single", "other"):
        (tmp_path / name).write_text("", encoding="utf-8")
    assert not scripts.are_scripts(["single"])
    assert scripts.are_scripts(["other"])


@pytest.mark.usefixtures("here")
def test_a_path_with_a_space_needs_no_quotes() -> None:
    Path("my script.py").touch()
    assert split("my script.py") == ["my script.py"]


def test_colours_are_for_terminals_that_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WT_SESSION", "1")
    assert scripts.has_colours(Terminal())
    assert not scripts.has_colours(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not scripts.has_colours(Terminal())


# ------------------------------------------------------------------ the command is ended itself


@pytest.fixture
def command(here: Path) -> Iterator[subprocess.Popen[str]]:
    """The command, which runs a script that hears no signal, and has told its process id."""
    write(deaf=DEAF + PID + FOREVER, hears=PID + HEARS)
    process = subprocess.Popen(
        [sys.executable, "-m", "pylm_lab", "run", "deaf.py", "hears.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def pids(process: subprocess.Popen[str]) -> list[int]:
    """The ids of its two scripts, once both are up."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    found = [line.split()[-1] for line in lines]
    return [int(word) for word in found if word.isdecimal()]


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_kills_and_nothing_is_left(
    command: subprocess.Popen[str], number: int
) -> None:
    found = pids(command)
    assert command.stdout is not None
    with within(4, "the end"):
        command.send_signal(number)
        # One ends, and the other does not care.
        assert command.stdout.readline().endswith("heard\n")
        command.send_signal(number)
        out, errors = command.communicate(timeout=PATIENCE)
    assert command.returncode == 128 + number
    assert all(map(is_gone, found))
    assert "Traceback" not in errors
    assert "deaf" in out


@posix
@pytest.mark.usefixtures("here")
def test_whoever_reads_may_go_and_nothing_is_left() -> None:
    write(chatty=PID + "while True: print('x' * 100)")
    process = subprocess.Popen(
        [sys.executable, "-m", "pylm_lab", "run", "chatty.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        pid = int(process.stdout.readline().split()[-1])
        process.stdout.close()
        assert process.wait(PATIENCE) == 2
        assert is_gone(pid)
        assert "Traceback" not in process.stderr.read()


@posix
@pytest.mark.usefixtures("here")
def test_one_ctrl_c_ends_all_with_130() -> None:
    write(hears=PID + FOREVER)
    with subprocess.Popen(
        [sys.executable, "-m", "pylm_lab", "run", "hears.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline().split()[-1])
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert is_gone(pid)
    assert "when told to" in out
