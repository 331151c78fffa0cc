"""The leak check finds what leaks, names it, and leaves alone what does not."""

from __future__ import annotations

import gc
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import leaks
import pytest
import zmq

linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="descriptors can't be listed")


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A context of the test's own, its threads running."""
    with zmq.Context() as context:
        leaks.open_context(context)
        yield context


def test_nothing_left_is_nothing_told(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    before = leaks.Snapshot()
    thread = threading.Thread(target=str)
    thread.start()
    thread.join()
    with context.socket(zmq.PULL) as puller:
        puller.bind("tcp://127.0.0.1:*")
    assert before.leaks() == []


def test_a_thread_is_named_with_the_line_that_it_is_at() -> None:
    before = leaks.Snapshot()
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="a stray part")
    thread.start()
    try:
        (line,) = before.leaks(deadline=0)
    finally:
        end.set()
        thread.join()
    assert line.startswith("thread 'a stray part', in wait (threading.py, line ")
    assert before.leaks() == []


def test_a_thread_that_is_about_to_end_is_waited_for() -> None:
    before = leaks.Snapshot()
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    timer = threading.Timer(0.02, end.set)
    timer.start()
    assert before.leaks() == []


def test_a_zeromq_socket_is_named_with_its_type_and_address(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    before = leaks.Snapshot()
    with context.socket(zmq.PULL) as puller:
        puller.bind("inproc://left")
        lines = before.leaks(deadline=0)
    assert len(lines) == 1
    assert "PULL" in lines[0]
    assert "inproc://left" in lines[0]
    assert before.leaks() == []


@linux
def test_a_bound_tcp_port_is_named(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    before = leaks.Snapshot()
    with context.socket(zmq.PULL) as puller:
        port = puller.bind_to_random_port("tcp://127.0.0.1")
        lines = before.leaks(deadline=0)
    assert [line for line in lines if f"tcp://127.0.0.1:{port}" in line]
    assert [line for line in lines if f"listening on tcp port {port}" in line]
    assert before.leaks() == []


@linux
def test_a_plain_socket_is_named() -> None:
    before = leaks.Snapshot()
    with socket.create_server(("127.0.0.1", 0)) as server:
        (line,) = before.leaks(deadline=0)
        assert f"listening on tcp port {server.getsockname()[1]}" in line
    assert before.leaks() == []


@linux
def test_a_context_that_was_never_ended_is_seen() -> None:
    before = leaks.Snapshot()
    with zmq.Context() as context:
        context.socket(zmq.PAIR).close()
        lines = before.leaks(deadline=0.1)
    assert lines
    assert all("anon_inode" in line for line in lines)
    assert before.leaks() == []


@linux
def test_one_descriptor_in_place_of_another_is_no_leak() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        before = leaks.Snapshot()
    with socket.create_server(("127.0.0.1", 0)):
        assert before.leaks(deadline=0) == []


def test_kinds_that_are_allowed_are_not_looked_at(
    context: zmq.Context[zmq.Socket[bytes]],
) -> None:
    before = leaks.Snapshot()
    with context.socket(zmq.PULL):
        assert before.leaks(allow=leaks.KINDS, deadline=0) == []


def searches(look: Callable[[], object]) -> int:
    """How often all objects of the process are looked through."""
    count = 0

    def told(_: Any, event: str, called: Any) -> None:
        nonlocal count
        count += event == "c_call" and called is gc.get_objects

    earlier = sys.getprofile()
    sys.setprofile(told)
    try:
        look()
    finally:
        sys.setprofile(earlier)
    return count


@linux
def test_objects_are_not_searched_through_while_it_waits() -> None:
    before = leaks.Snapshot()
    with socket.create_server(("127.0.0.1", 0)):
        assert searches(lambda: before.leaks(deadline=0.2)) == 1


LEAKY = """
import threading
import pytest

end = threading.Event()

def leak():
    threading.Thread(target=end.wait, name="stray", daemon=True).start()

def test_leaks():
    leak()

def test_fails_and_leaks():
    leak()
    assert False

@pytest.mark.may_leak("threads", reason="it is stopped with the process")
def test_may():
    leak()

@pytest.mark.may_leak("thread", reason="a kind that does not exist")
def test_wrong_marker():
    leak()

def test_clean():
    pass
"""


def run(pytester: pytest.Pytester, root: Path, code: str, *options: str) -> pytest.RunResult:
    """Run the tests with this project's conftest and configuration, in a process of their own."""
    tests = pytester.mkdir("tests")
    for name in ("conftest.py", "leaks.py"):
        text = (root / "tests" / name).read_text(encoding="utf-8")
        text = text.replace(f"DEADLINE = {leaks.DEADLINE}", "DEADLINE = 0.2")  # these do leak
        (tests / name).write_text(text, encoding="utf-8")
    config = (root / "pyproject.toml").read_text(encoding="utf-8")
    (pytester.path / "pyproject.toml").write_text(config, encoding="utf-8")
    (tests / "test_it.py").write_text(code, encoding="utf-8")
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "--scale=1", *options)


def test_the_test_that_leaks_fails_and_only_that(pytester: pytest.Pytester, root: Path) -> None:
    result = run(pytester, root, LEAKY)
    result.assert_outcomes(passed=3, failed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_leaks*",
            "*left behind:*",
            "*thread 'stray', in wait (threading.py, line *",
            "*may_leak takes some of threads, descriptors, sockets, and reason=*",
            "*= left behind =*",
            "*test_it.py::test_leaks: thread 'stray'*",
            "*test_it.py::test_fails_and_leaks: thread 'stray'*",
        ]
    )


def test_leaks_are_only_reported_when_asked_so(pytester: pytest.Pytester, root: Path) -> None:
    result = run(pytester, root, LEAKY, "--leaks=report", "-k", "test_leaks or clean")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*= left behind =*", "*test_it.py::test_leaks: thread 'stray'*"])


SHARED = """
import threading
import pytest

@pytest.fixture(scope="module")
def shared():
    threading.Thread(target=threading.Event().wait, name="shared", daemon=True).start()

def test_one(shared):
    pass
"""


def test_what_a_shared_fixture_leaves_is_found_in_the_end(
    pytester: pytest.Pytester, root: Path
) -> None:
    result = run(pytester, root, SHARED)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*all tests together: thread 'shared'*"])


ENDLESS = """
import threading
import pytest

@pytest.mark.timeout(0.2)
def test_endless():
    threading.Event().wait()

def test_next():
    pass
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no alarms")
def test_a_test_that_never_ends_is_ended(pytester: pytest.Pytester, root: Path) -> None:
    result = run(pytester, root, ENDLESS)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*no end after 0.2 s*", "*thread 'MainThread':*"])
