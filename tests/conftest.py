"""What every test gets: the right package, a scale, an end in time, and a look at what it leaves.

What is tested. Where pylm_lab is installed (`pip install .`, or a wheel), that copy is what tests
import; the source tree around them is taken off the path, also off that of the processes that they
start. An editable install, or none, puts the tree on the path. `pytest` says which, on top.
"""

from __future__ import annotations

import filecmp
import gc
import importlib.metadata
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import hypothesis
import leaks
import pytest

ROOT = Path(__file__).resolve().parent.parent
#: Seconds that a test may take, its fixtures included, unless its marker `timeout` says otherwise.
TIMEOUT = 60.0
#: Seconds after which the alarm rings again, should the end of a late test hang as well.
AGAIN = 20.0


def _choose_what_is_tested() -> str:
    """Take the source tree off the path if a copy is installed, else put it there. Says which."""
    paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    others = [p for p in paths if Path(p).resolve() != ROOT]
    # A process that a test starts doesn't look into the folder that it starts in.
    os.environ["PYTHONSAFEPATH"] = "1"
    package = "source tree"
    try:
        distribution = importlib.metadata.distribution("pylm-lab")
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        copy = Path(str(distribution.locate_file("pylm_lab"))).resolve()
        if copy.is_dir() and copy.parent != ROOT:
            sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != ROOT]
            os.environ["PYTHONPATH"] = os.pathsep.join(others)
            stale = (
                "" if _same(ROOT / "pylm_lab", copy) else ": NOT the source tree's, install again"
            )
            return f"{copy}{stale}"
        package = "editable install"
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *others])
    return f"{ROOT / 'pylm_lab'} ({package})"


def _same(tree: Path, copy: Path) -> bool:
    """Whether all modules of the tree are in the copy, byte for byte."""
    names = [str(path.relative_to(tree)) for path in sorted(tree.rglob("*.py"))]
    return len(filecmp.cmpfiles(tree, copy, names, shallow=False)[0]) == len(names)


TESTED = _choose_what_is_tested()
# No window opens, whatever the desktop; also not in a process that a test starts.
os.environ["MPLBACKEND"] = "Agg"
# Started in the background of a script, Python is deaf to Ctrl-C, and so is what it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# -------------------------------------------------------------------------------- options and scale


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pylm_lab")
    group.addoption(
        "--scale",
        type=int,
        default=int(os.environ.get("PYLM_LAB_SCALE") or 1),
        help="multiplies seeds, examples and repetitions (default: PYLM_LAB_SCALE, else 1)",
    )
    group.addoption(
        "--leaks",
        choices=["fail", "report"],
        default="fail",
        help="a test that leaves something behind fails, or is only reported at the end",
    )


def pytest_configure(config: pytest.Config) -> None:
    scale: int = config.getoption("--scale")
    if scale < 1:
        raise pytest.UsageError(f"the scale is {scale}: give a whole number from 1 on")
    # Read where no fixture reaches: in parametrize, and in processes that a test starts.
    os.environ["PYLM_LAB_SCALE"] = str(scale)
    # The gate's examples are the same each time; a larger run looks for new ones. A failing example
    # is printed with the means to repeat it, so nothing is kept on disk. No test is timed.
    hypothesis.settings.register_profile(
        "pylm_lab",
        deadline=None,
        database=None,
        print_blob=True,
        derandomize=scale == 1,
        max_examples=100 * scale,
    )
    hypothesis.settings.load_profile("pylm_lab")
    if config.pluginmanager.hasplugin("dsession"):
        config.pluginmanager.register(_Workers())


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [f"pylm_lab: {TESTED}", f"scale: {config.getoption('--scale')}"]


@pytest.fixture(scope="session")
def scale(pytestconfig: pytest.Config) -> int:
    """How much of everything that can be repeated: 1 in the gate, more in `.ci/run --full`."""
    value: int = pytestconfig.getoption("--scale")
    return value


@pytest.fixture(scope="session")
def root() -> Path:
    """The source tree, for what is not in the package: notebooks, figures, README."""
    return ROOT


# ----------------------------------------------------------------------------- an end for each test


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that takes too long, with the stack of every thread.

    By an alarm, so in the main thread and where the system has alarms; elsewhere pytest's own
    `faulthandler_timeout` shows the stacks, and nothing ends the test.
    """
    if not hasattr(signal, "SIGALRM"):
        return (yield)
    marker = item.get_closest_marker("timeout")
    seconds = (marker.args[0] if marker else TIMEOUT) * item.config.getoption("--scale")

    def ring(_signal: int, _frame: FrameType | None) -> None:
        pytest.fail(f"no end after {seconds:g} s\n{_stacks()}", pytrace=False)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"thread {names.get(ident, ident)!r}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    )


# ----------------------------------------------------------------------- what stays is not searched


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After each file, let the garbage collector forget what stays: modules, reports, caches.

    Many tests collect garbage, and so does every look for a leak. With all that a whole run has
    piled up, that took most of the time of some, and held the threads up that they waited for.
    """
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


# ------------------------------------------------------------------------------------ nothing leaks

_FAILED = pytest.StashKey[bool]()
_LEFT = pytest.StashKey[list[str]]()
_EXCUSED = pytest.StashKey[set[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    # A report of several workers is sent as UTF-8, which has no surrogates.
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode("utf-8"))
        for name, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def nothing_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread, a descriptor or a ZeroMQ socket behind.

    A test that failed for another reason is not blamed twice; what it left is told at the end.
    """
    node: pytest.Item = request.node
    allow = _allowed(node)
    before = leaks.Snapshot()
    yield
    failed = node.stash.get(_FAILED, False)
    left = before.leaks(allow=allow, deadline=0.2 if failed else leaks.DEADLINE)
    _judge(node.config, node.nodeid, left, fail=not failed)


@pytest.fixture(scope="session", autouse=True)
def nothing_leaks_in_the_end(pytestconfig: pytest.Config) -> Iterator[None]:
    """The same for what is shared by several tests, once all is over."""
    before = leaks.Snapshot()
    yield
    told = bool(pytestconfig.stash.get(_LEFT, []))
    if not told:
        excused = pytestconfig.stash.setdefault(_EXCUSED, set())
        left = before.leaks(allow=tuple(sorted(excused)))
        _judge(pytestconfig, "all tests together", left, fail=True)


def _allowed(node: pytest.Item) -> tuple[str, ...]:
    """What the marker `may_leak` allows this test."""
    allow: set[str] = set()
    for marker in node.iter_markers("may_leak"):
        if (
            not marker.args
            or not set(marker.args) <= set(leaks.KINDS)
            or not marker.kwargs["reason"]
        ):
            raise pytest.UsageError(
                f"{node.nodeid}: may_leak takes some of {', '.join(leaks.KINDS)}, and reason="
            )
        allow.update(marker.args)
    node.config.stash.setdefault(_EXCUSED, set()).update(allow)
    return tuple(sorted(allow))


def _judge(config: pytest.Config, who: str, left: list[str], *, fail: bool) -> None:
    if not left:
        return
    config.stash.setdefault(_LEFT, []).extend(f"{who}: {line}" for line in left)
    if fail and config.getoption("--leaks") == "fail":
        pytest.fail("left behind:\n" + "\n".join(f"  {line}" for line in left), pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several workers (`-n`) tells the others' parent what its tests have left."""
    workeroutput = getattr(session.config, "workeroutput", None)
    if workeroutput is not None:
        workeroutput["left"] = session.config.stash.get(_LEFT, [])


class _Workers:
    """Hears them."""

    def pytest_testnodedown(self, node: Any) -> None:
        told = getattr(node, "workeroutput", {}).get("left", [])
        node.config.stash.setdefault(_LEFT, []).extend(told)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    left = config.stash.get(_LEFT, [])
    if left:
        terminalreporter.section("left behind")
        for line in left:
            terminalreporter.write_line(line)
