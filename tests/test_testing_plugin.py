"""The pytest plugin: a fixture `trace` for the tests of those who have the package."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

#: Loaded by its module, whether its entry point is installed or not.
LOADED = ("-p", "no:pylm_lab", "-p", "pylm_lab.testing", "-p", "no:cacheprovider")

SUITE = """
import pytest, zmq

@pytest.fixture(scope="session")
def context():
    with zmq.Context() as context:
        yield context

@pytest.fixture(scope="session")
def pull(context):
    with context.socket(zmq.PULL) as pull:
        pull.bind("inproc://here")
        yield pull

@pytest.fixture
def push(context, trace):
    with trace.watch(context.socket(zmq.PUSH), name="sender") as push:
        push.connect("inproc://here")
        yield push
"""


def run(pytester: pytest.Pytester, test: str, *more: str) -> pytest.RunResult:
    """Run a suite of somebody's, in a process of its own."""
    pytester.makepyfile(SUITE + test)
    return pytester.runpytest_subprocess(*LOADED, *more, timeout=60)


def test_a_test_that_fails_shows_what_was_recorded(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(trace, push, pull):
    trace.watch(pull, name="receiver")
    push.send(b"one")
    push.send(b"two")
    assert pull.recv() == b"something else"
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*recorded by pylm_lab*",
            "Space and time: 3 rows, 2 actors, free",
            "*µs*sender*receiver*",
            '*→ receiver: "one"*│',
            '*→ receiver (not received): "two"*',
            '*← sender: "one"',
            "What trace.check() finds:",
            "- nothing",
        ]
    )


def test_a_test_may_ask_what_is_wrong(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_it(trace, context):
    sender = trace.watch(context.socket(zmq.PUSH), name="sender")
    with sender, trace.watch(context.socket(zmq.PULL), name="receiver") as pull:
        pull.bind("inproc://there")
        sender.connect("inproc://there")
        sender.send(b"one")
        assert trace.check() == []
    assert trace.check() == []
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*sent by sender and never received*",
            "What trace.check() finds:",
            "- A message without an id was sent by sender and never received: it is lost between"
            " sender and receiver.",
        ]
    )


def test_what_passes_shows_nothing_and_leaves_nothing(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
from pylm_lab.trace import Trace

def test_one(trace, push, pull):
    assert trace.watch(pull, name="receiver") is pull
    push.send(b"one")
    assert pull.recv() == b"one"
    assert len(trace.hops) == 1 and trace.check() == []
    assert isinstance(trace.trace, Trace)
    assert "1 hop" in repr(trace)
    test_one.trace = trace

def test_two(trace, push, pull):
    assert type(pull) is zmq.Socket
    push.send(b"two")
    assert pull.recv() == b"two"
    assert [hop.target for hop in trace.hops] == [""]
    assert len(test_one.trace.hops) == 1
    with __import__("pytest").raises(AttributeError):
        trace.nothing_like_it
""",
        "-W",
        "error",
    )
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*recorded by pylm_lab*")


def test_a_cluster_is_recorded_where_it_is_attached(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
import pylm_lab as lab

def test_it(trace):
    with lab.Cluster() as cluster:
        cluster.attach(trace.recorder)
        cluster.add(lab.Server("server"))
        client = cluster.client("server")
        assert client.eval("server.echo", b"x") == b"x"
    assert trace.check() == []
    assert trace.actor("client").role == "client"
""",
    )
    result.assert_outcomes(passed=1)


def test_a_suite_with_a_fixture_of_that_name_keeps_its_own(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.fixture
def trace():
    return "theirs"

def test_it(trace):
    assert trace != "theirs"
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*recorded by pylm_lab*")


def test_who_does_not_ask_for_it_loads_nothing() -> None:
    """pytest loads the plugin in every suite of whoever has the package."""
    code = (
        "import pytest, sys; before = set(sys.modules); import pylm_lab.testing;"
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "['pylm_lab']", done.stderr


def test_the_package_says_where_its_plugin_is(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"pylm_lab": "pylm_lab.testing"}
