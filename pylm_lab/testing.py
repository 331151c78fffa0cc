"""The pytest plugin: a fixture `trace`, which records what a test's sockets do.

    def test_the_server_greets(trace):
        asker = trace.watch(context.socket(zmq.REQ), name="asker")
        …
        assert trace.check() == []

A test that fails shows what was recorded, in a section of its report. pytest loads this module
whether a test asks for the fixture or not; so what is not the standard library's or pytest's own is
loaded by the fixture.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import zmq

    from pylm_lab.trace import Recorder, Trace
    from pylm_lab.watched import Watched

__all__ = ["Recording", "pytest_runtest_makereport", "trace"]

#: Rows that the report of a failed test shows: the last ones.
ROWS = 60
_RECORDING = pytest.StashKey["Recording"]()


class Recording:
    """What the fixture `trace` is: all that is recorded in one test.

    Whatever a Trace has, this has as well, of what was recorded so far: `trace.check()`,
    `trace.hops`, `trace.spacetime()`, `trace.save(…)`.
    """

    def __init__(self, recorder: Recorder) -> None:
        #: The hook that writes it down: `cluster.attach(trace.recorder)` lets a cluster, a server,
        #: a worker or a client be recorded too.
        self.recorder = recorder

    def watch(self, socket: zmq.Socket[Any], name: str) -> Watched:
        """Record a pyzmq socket for the rest of the test; see `pylm_lab.watch`."""
        from pylm_lab.watching import watch

        return watch(socket, name, into=self.recorder)

    @property
    def trace(self) -> Trace:
        """All that is recorded so far: a Trace, the same until something more happens."""
        return self.recorder.trace

    def __getattr__(self, name: str) -> Any:
        return getattr(self.recorder.trace, name)

    def __repr__(self) -> str:
        return repr(self.recorder.trace)


@pytest.fixture
def trace(request: pytest.FixtureRequest) -> Generator[Recording, None, None]:
    """Record the sockets that are given to `trace.watch`, and tell what they did."""
    from pylm_lab.trace import Recorder
    from pylm_lab.watching import let_go

    recording = Recording(Recorder())
    request.node.stash[_RECORDING] = recording
    yield recording
    # A socket of a session outlives the test, and what it does from now on is another test's.
    let_go(recording.recorder)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Show what was recorded in a test that fails."""
    outcome = yield
    recording = item.stash.get(_RECORDING, None)
    report = outcome.get_result()
    if recording is not None and report.failed:
        report.sections.append(("recorded by pylm_lab", _told(recording)))


def _told(recording: Recording) -> str:
    try:
        found = recording.trace
        table = found.spacetime()
        if len(table) > ROWS:
            table = found.spacetime(len(table) - ROWS, ROWS)
        wrong = [f"- {finding}" for finding in found.check()] or ["- nothing"]
        return "\n".join([str(table), "", "What trace.check() finds:", *wrong])
    except Exception as error:  # noqa: BLE001 - the test's own failure is what has to be told
        return f"what was recorded can't be told: {type(error).__name__}: {error}"
