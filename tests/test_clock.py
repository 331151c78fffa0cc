"""The clock of a run, and log lines that tell its step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from processes import within
from stepped import MODES, finish, make

import pylm_lab as lab
from pylm_lab.errors import RunError, WiringError
from pylm_lab.parts.messages_pb2 import PalmMessage

HOUR = 3600.0


class Sleeper(lab.Worker):
    """Sleeps as long as the payload says, and answers with the time before and after."""

    def foo(self, payload: bytes) -> bytes:
        before = self.clock.time()
        self.clock.sleep(float(payload))
        return f"{self.name} {before:.10g} {self.clock.time():.10g}".encode()


def sleepers(mode: str, count: int = 1, **more: Any) -> lab.Cluster:
    cluster = lab.Cluster(**{**MODES[mode], **more})
    cluster.add(lab.Master("server"))
    for n in range(1, count + 1):
        cluster.add(Sleeper(f"worker{n}"))
    return cluster


in_turn = pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "free"])


@in_turn
def test_an_hour_of_a_controlled_run_takes_no_time(mode: str) -> None:
    with within(10, "an hour"), sleepers(mode) as cluster:
        client = cluster.client()
        task = cluster.start(client.eval, "server.foo", b"3600")
        assert finish(cluster, task) == b"worker1 0 3600"
        assert client.clock.time() == HOUR
        assert repr(client.clock) == "<clock of client: 3600 s>"


@in_turn
def test_sleepers_wake_in_the_order_of_the_clock(mode: str) -> None:
    with sleepers(mode, 3) as cluster:
        payloads = [b"3600", b"60", b"600"]
        task = cluster.start(cluster.client().job, "server.foo", payloads, 3)
        answers = finish(cluster, task)
    assert [answer.split(b" ", 1)[1] for answer in answers] == [
        b"0 60",
        b"0 600",
        b"0 3600",
    ]


@pytest.mark.parametrize("seed", range(10))
def test_time_stands_still_while_anything_can_move_and_never_goes_back(seed: int) -> None:
    class Looking(lab.Worker):
        times: list[float] = []  # noqa: RUF012 - of this test alone

        def foo(self, payload: bytes) -> bytes:
            self.times.append(self.clock.time())
            self.clock.sleep(float(payload))
            self.times.append(self.clock.time())
            return payload

    with lab.Cluster(seed=seed) as cluster:
        cluster.add(lab.Master("server"))
        for _ in range(2):
            cluster.add(Looking())
        client = cluster.client()
        list(client.job("server.foo", [b"5", b"0", b"2", b"0.5"], 4))
        before = client.clock.time()
        client.eval("server.foo", b"0")
        assert client.clock.time() == before
    assert Looking.times == sorted(Looking.times)
    assert before >= 5


def test_a_stepped_run_tells_that_the_clock_jumps() -> None:
    with sleepers("stepped") as cluster:
        task = cluster.start(cluster.client().eval, "server.foo", b"90")
        cluster.run_until(part="worker1", kind="receive")
        (jump,) = cluster.pending
        assert jump.sentence == "worker1 has waited long enough: the clock jumps to 90 s."
        assert (jump.operation, jump.port) == ("timeout", "")
        cluster.run_until(kind="timeout")
        cluster.run()
        assert task.result() == b"worker1 0 90"


@pytest.mark.parametrize("mode", list(MODES))
def test_a_master_s_own_functions_have_the_clock_too(mode: str) -> None:
    pause = 0.01 if mode == "free" else 60.0

    class Slow(lab.Master):
        def scatter(self, message: PalmMessage) -> Iterator[PalmMessage]:
            begun = self.clock.time()
            self.clock.sleep(pause)
            assert self.clock.time() - begun >= pause
            yield message

        def gather(self, message: PalmMessage) -> Iterable[PalmMessage]:
            begun = self.clock.time()
            self.clock.sleep(pause)
            yield self.change_payload(message, f"{self.clock.time() - begun:.9f}".encode())

    with within(20, mode), lab.Cluster(**MODES[mode]) as cluster:
        cluster.add(Slow("server"))
        cluster.add(lab.Worker("worker1"))
        task = cluster.start(cluster.client().eval, "server.echo", b"x")
        assert float(finish(cluster, task)) >= pause
    assert cluster.trace.check() == []


def test_a_call_can_sleep_between_its_messages() -> None:
    with make("seeded") as cluster:
        client = cluster.client()

        def play() -> float:
            client.eval("server.foo", b"x")
            client.clock.sleep(HOUR)
            client.eval("server.foo", b"x")
            return client.clock.time()

        assert cluster.start(play).result() == HOUR
        client.clock.sleep(HOUR)
        assert client.clock.time() == 2 * HOUR


# ------------------------------------------------------------------------------------- a free run


def test_a_free_sleep_takes_its_time() -> None:
    with sleepers("free") as cluster:
        answer = cluster.client(timeout=20).eval("server.foo", b"0.05")
        assert isinstance(answer, bytes)
        before, after = map(float, answer.split()[1:])
        assert 0.04 < after - before < 10


def test_a_stop_ends_a_free_sleep() -> None:
    asleep = threading.Event()

    class Tells(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            asleep.set()
            self.clock.sleep(HOUR)
            return payload

    cluster = lab.Cluster()
    cluster.add(lab.Master("server"))
    cluster.add(Tells("worker1"))
    task = cluster.start(cluster.client().eval, "server.foo", b"x")
    assert asleep.wait(10)
    with within(3, "the stop"):
        assert cluster.stop()
    with pytest.raises(RunError):
        task.result(10)


@pytest.mark.parametrize("mode", ["free", "seeded", "stepped"])
def test_a_clock_is_waited_for_in_its_own_thread_only(mode: str) -> None:
    with lab.Cluster(**MODES[mode]) as cluster:
        server = cluster.add(lab.Master("server"))
        worker = cluster.add(Sleeper("worker1"))
        cluster.client()
        for owner, name in ((worker, "worker1"), (server, r"server\.router")):
            assert owner.clock.time() >= 0
            with pytest.raises(RunError, match=f"the clock of {name} can be waited for in its own"):
                owner.clock.sleep(0.01)


@pytest.mark.parametrize(
    "make_one", [lambda: Sleeper("idle", "inproc://x"), lambda: lab.Master("s")]
)
def test_the_clock_of_who_does_not_run_says_so(make_one: Any) -> None:
    with pytest.raises(RunError, match="clock"):
        make_one().clock.sleep(0.01)


@pytest.mark.parametrize("mode", ["free", "seeded"])
@pytest.mark.parametrize("duration", [-1, "1", None, True, float("nan")])
def test_what_is_no_duration_is_refused(mode: str, duration: Any) -> None:
    with sleepers(mode) as cluster, pytest.raises(WiringError, match=r"duration=|sleep\(None\)"):
        cluster.client().clock.sleep(duration)


# ------------------------------------------------------------------------------------- log lines


class Telling(lab.Worker):
    def foo(self, payload: bytes) -> bytes:
        self.logger.info("has seen %s", payload.decode())
        return payload


class Keeps(logging.Handler):
    """Keeps every record."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def own() -> tuple[logging.Logger, Keeps]:
    logger, keeps = logging.Logger("of the user's own"), Keeps()
    logger.addHandler(keeps)
    return logger, keeps


def say(mode: str, logger: Any) -> lab.Trace:
    with lab.Cluster(**MODES[mode]) as cluster:
        cluster.add(lab.Master("server"))
        worker = cluster.add(Telling("worker1"))
        if logger is not None:
            worker.logger = logger
        task = cluster.start(cluster.client().eval, "server.foo", b"100%s")
        assert finish(cluster, task) == b"100%s"
    return cluster.trace


def step_of(trace: lab.Trace) -> int:
    """When worker1 got the message."""
    (hop,) = (hop for hop in trace.hops_of("message") if hop.target == "worker1")
    assert hop.received is not None
    return trace.events[hop.received].at


@in_turn
def test_a_line_of_a_controlled_run_begins_with_the_step_and_its_record_has_it(
    mode: str, own: tuple[logging.Logger, Keeps]
) -> None:
    logger, keeps = own
    trace = say(mode, logger)
    (record,) = keeps.records
    assert record.getMessage() == f"[step {step_of(trace)}] has seen 100%s"
    assert record.__dict__["step"] == step_of(trace)
    assert (record.name, record.filename, record.funcName) == (
        "of the user's own",
        "test_clock.py",
        "foo",
    )


def test_a_line_of_a_free_run_is_as_it_was_written(own: tuple[logging.Logger, Keeps]) -> None:
    logger, keeps = own
    say("free", logger)
    (record,) = keeps.records
    assert record.getMessage() == "has seen 100%s"
    assert "step" not in record.__dict__


@pytest.mark.parametrize("mode", ["free", "stepped"])
def test_the_module_logging_will_do_as_a_logger(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    trace = say(mode, logging)
    step = "" if mode == "free" else f"[step {step_of(trace)}] "
    assert f"{step}has seen 100%s" in [record.getMessage() for record in caplog.records]


def test_an_actor_s_usual_logger_tells_the_step_and_forgets_it_when_it_next_runs_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = Telling("worker1")
    for mode, begins in (("seeded", "[step "), ("free", "has seen"), ("stepped", "[step ")):
        caplog.clear()
        with lab.Cluster(**MODES[mode]) as cluster:
            cluster.add(lab.Master("server"))
            cluster.add(worker)
            task = cluster.start(cluster.client().eval, "server.foo", b"x")
            finish(cluster, task)
        (line,) = [r.getMessage() for r in caplog.records if r.name == "pylm_lab.worker1"]
        assert line.startswith(begins)
        assert line.count("[step") == (mode != "free")


def test_what_a_line_carries_besides_stays_with_it(own: tuple[logging.Logger, Keeps]) -> None:
    logger, keeps = own

    class Carrying(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            self.logger.warning("one", extra={"colour": "red"})
            self.logger.warning("two", extra=None)
            return payload

    with lab.Cluster(seed=1) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Carrying("worker1")).logger = logger
        cluster.client().eval("server.foo", b"x")
    assert [record.getMessage().partition("] ")[2] for record in keeps.records] == ["one", "two"]
    assert keeps.records[0].__dict__["colour"] == "red"
    assert len({record.__dict__["step"] for record in keeps.records}) == 1
