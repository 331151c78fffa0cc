"""Functions of a user's class: which a message may call, and what is told of those that fail."""

from __future__ import annotations

import functools
import inspect
import itertools
import logging
import pickle
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

import pylm_lab as lab
from pylm_lab import wire
from pylm_lab.clients import Client
from pylm_lab.errors import FunctionError, NoAnswer, WiringError
from pylm_lab.hook import GAVE_NOTHING
from pylm_lab.parts.messages_pb2 import PalmError, PalmMessage

TRANSPORTS: list[Any] = ["inproc", "tcp"]


class Model:
    """Can be called, and is no method."""

    def __call__(self, payload: bytes) -> bytes:
        raise AssertionError("called")


def wrapping(function: Any) -> Any:
    """A decorator."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def number(payload: bytes) -> int:
    """Called by a function of the user's."""
    return int(payload)


class Shop(lab.Worker):
    """A worker with all kinds of methods, and some that would change how it works."""

    number = 3
    part = functools.partial(bytes.upper)
    model = Model()

    class Inner:
        """A class is no method."""

    def sell(self, payload: bytes) -> bytes:
        """Return the payload backwards."""
        return payload[::-1]

    @staticmethod
    def free(payload: bytes) -> bytes:
        """Return it as it is."""
        return payload

    @classmethod
    def named(cls, payload: bytes) -> bytes:
        """Return the name of the class."""
        return cls.__name__.encode()

    @functools.lru_cache  # noqa: B019 - what is decorated is a method all the same
    def kept(self, payload: bytes) -> bytes:
        """Return it in capitals."""
        return payload.upper()

    @property
    def secret(self) -> Any:
        """Must not even be looked at."""
        raise AssertionError("read")

    @functools.cached_property
    def secret2(self) -> Any:
        """Neither."""
        raise AssertionError("read")

    def _private(self, payload: bytes) -> bytes:
        return payload

    def ended(self) -> None:
        """Overridden, and still no function for messages."""
        super().ended()


class More(Shop):
    """What a subclass takes away is gone."""

    free = None  # type: ignore[assignment]


class Clashing(lab.Worker):
    """One whose functions have names that mean something here."""

    def messages(self, payload: bytes) -> bytes:  # type: ignore[override]
        """An attribute of every worker has this name."""
        return payload

    def set(self, payload: bytes) -> bytes:  # type: ignore[override]
        """A method of every worker has this name."""
        return payload


class Mixed(lab.MuxWorker):
    """One whose functions yield."""

    def many(self, payload: bytes) -> Iterator[bytes]:
        """As many as the payload says."""
        for number in range(int(payload)):
            yield str(number).encode()

    def listed(self, payload: bytes) -> list[bytes]:
        """A list will do."""
        return [payload, payload]

    def one(self, payload: bytes) -> bytes:
        """So will bytes."""
        return payload

    def half(self, payload: bytes) -> Iterator[bytes]:
        """Fail after two."""
        yield b"first"
        yield b"second"
        raise ValueError("no third")

    def wrong(self, payload: bytes) -> Iterator[Any]:
        """Yield what is no payload, and more."""
        yield b"first"
        yield 2
        yield b"third"

    def nothing(self, payload: bytes) -> None:
        """Return nothing at all."""

    def text(self, payload: bytes) -> str:
        """Return what can be iterated, and is no payload."""
        return "ab"


class Failing(lab.Worker):
    """One whose functions all fail."""

    def raises(self, payload: bytes) -> bytes:
        """Raise."""
        raise ValueError("no such thing")

    def deep(self, payload: bytes) -> bytes:
        """Raise somewhere else."""
        return b"%d" % number(payload)

    @wrapping
    def wrapped(self, payload: bytes) -> bytes:
        """Raise in what was decorated."""
        raise ValueError(payload)

    def exits(self, payload: bytes) -> bytes:
        """Try to end the process."""
        sys.exit("enough")

    def aborts(self, payload: bytes) -> bytes:
        """Raise what nobody expects."""
        raise GeneratorExit

    def text(self, payload: bytes) -> str:
        """Return what is no payload."""
        return "text"

    def none(self, payload: bytes) -> None:
        """Return nothing."""

    def yields(self, payload: bytes) -> Iterator[bytes]:
        """Yield, which only a MuxWorker's functions may."""
        yield payload

    async def later(self, payload: bytes) -> bytes:
        """Return something to await."""
        return payload

    def path(self, payload: bytes) -> bytes:
        """Fail with a place of this machine in the text."""
        with open("/very/secret place/of mine/data.txt", "rb") as file:
            return file.read()

    def mute(self, payload: bytes) -> bytes:
        """Raise what can not even say what it is."""

        class MuteError(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        raise MuteError

    def odd(self, payload: bytes) -> bytes:
        """Raise what UTF-8 has no room for, and where an object lies."""
        raise ValueError("\ud800 " + repr(object()) + " C:\\of\\mine\\x.txt" + "x" * 5000)


def line_of(function: Any, offset: int = 2) -> int:
    """A line of a function, counted from its first."""
    return int(function.__code__.co_firstlineno) + offset


def run(
    worker: lab.Worker, function: str, payload: bytes = b"x", stage: int = 0, own: str = ""
) -> list[PalmMessage]:
    """What comes of one message, without a wire."""
    message = PalmMessage(function=function, payload=payload, stage=stage)
    return list(worker.answers(message, own))


# ------------------------------------------------------------------------------- what may be called


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        (Shop, {"sell", "free", "named", "kept"}),
        (More, {"sell", "named", "kept"}),
        (Mixed, {"many", "listed", "one", "half", "wrong", "nothing", "text"}),
        (lab.Worker, set()),
        (lab.MuxWorker, set()),
    ],
)
def test_every_name_that_is_no_function_of_the_user_s_is_refused_over_the_wire(
    kind: type[lab.Worker], allowed: set[str]
) -> None:
    worker = kind("worker1")
    names = sorted({*dir(worker), *vars(worker), "absent", "sell.sell", "__call__", "ünknown"})
    refused = [name for name in names if name not in allowed | {"echo"}]
    assert len(refused) > 100
    with lab.Cluster(record=False) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(worker)
        worker.logger.disabled = True
        client = cluster.client(timeout=5)
        for name in refused:
            if name == "sell.sell" and "sell" in allowed:
                continue  # what is before the last dot is the server
            with pytest.raises(FunctionError) as failed:
                client.eval(f"server.{name}", b"x")
            assert (failed.value.kind, failed.value.function) == (
                "UnknownFunction",
                f"server.{name}",
            )
        assert client.eval("server.echo", b"x") == b"x"
        worker.logger.disabled = False


def test_what_the_user_defines_may_be_called() -> None:
    shop = Shop("shop")
    for function, answer in [
        ("sell", b"cba"),
        ("free", b"abc"),
        ("named", b"Shop"),
        ("kept", b"ABC"),
        ("echo", b"abc"),
    ]:
        assert [one.payload for one in run(shop, f"server.{function}", b"abc")] == [answer]


def test_an_echo_of_the_user_s_takes_the_place_of_ours() -> None:
    class Loud(lab.Worker):
        def echo(self, payload: bytes) -> bytes:
            return payload.upper()

    assert run(Loud("loud"), "server.echo")[0].payload == b"X"


@pytest.mark.parametrize("name", ["messages", "set"])
def test_a_name_that_means_something_here_is_refused_though_the_user_defines_it(name: str) -> None:
    (answer,) = run(Clashing("worker1"), f"server.{name}")
    assert answer.error.text.startswith(f"{name!r} has a meaning of its own here")


def test_a_mixin_of_the_user_s_counts_wherever_it_stands() -> None:
    class Greets:
        def greet(self, payload: bytes) -> bytes:
            return b"hello " + payload

    class First(Greets, lab.Worker):
        pass

    class Last(lab.Worker, Greets):
        pass

    for kind in (First, Last):
        assert run(kind("one"), "server.greet")[0].payload == b"hello x"
        assert run(kind("one"), "server.start")[0].error.kind == "UnknownFunction"


@pytest.mark.parametrize(
    ("function", "stage", "told"),
    [
        ("server.sel", 0, "it has no function 'sel': did you mean 'sell'?"),
        ("server.start", 0, "it has no function 'start': there are echo, free, kept, named, sell"),
        ("server.ended", 0, "'ended' has a meaning of its own here: give the function another"),
        ("server.number", 0, "no message can call 'number': only a method can be called"),
        ("server._private", 0, "it has no function '_private'"),
        ("", 0, "the message names no function for stage 0: ''"),
        ("server.sell", 5, "the message names no function for stage 5: 'server.sell'"),
        ("server.sell", -1, "the message names no function for stage -1: 'server.sell'"),
        ("x" * 10_000_000, 0, "it has no function 'xxx"),
    ],
)
def test_a_refusal_says_why_in_one_line(
    function: str, stage: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    (answer,) = run(Shop("shop"), function, stage=stage)
    assert answer.payload == b"0"
    assert answer.error.text.startswith(told)
    assert len(answer.error.text) < 500
    (record,) = caplog.records
    assert told in record.message
    assert "\n" not in record.message
    assert record.exc_info is None


def test_the_stage_chooses_the_step() -> None:
    assert run(Shop("shop"), "first.absent second.sell", b"abc", stage=1)[0].payload == b"cba"


def test_who_answers_for_one_server_only_refuses_what_is_asked_of_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Shop("shop")
    assert run(shop, "server.sell", b"abc", own="server")[0].payload == b"cba"
    for function in ("other.sell", "sell", "server.server.sell"):
        caplog.clear()
        (answer,) = run(shop, function, own="server")
        assert (answer.payload, answer.error.kind) == (b"0", "WrongServer")
        assert len(caplog.records) == 1


# ----------------------------------------------------------------------------------- what is raised


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_failed_function_is_raised_where_it_was_called(transport: Any) -> None:
    with lab.Cluster(transport=transport) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Failing("worker1"))
        client = cluster.client(timeout=5)
        with pytest.raises(FunctionError) as failed:
            client.eval("server.raises", b"x")
        assert client.eval("server.echo", b"x") == b"x"
    line = line_of(Failing.raises)
    assert vars(failed.value) == {
        "server": "worker1",
        "function": "server.raises",
        "kind": "ValueError",
        "text": "no such thing",
        "line": line,
        "others": 0,
    }
    told = f"server.raises failed on worker1: ValueError: no such thing (line {line})"
    assert str(failed.value) == told
    assert str(pickle.loads(pickle.dumps(failed.value))) == told
    assert isinstance(failed.value, lab.LabError)


@pytest.mark.parametrize(
    ("function", "kind", "text", "offset"),
    [
        ("deep", "ValueError", "invalid literal for int() with base 10: b'x'", 2),
        ("wrapped", "ValueError", "b'x'", 3),
        ("exits", "SystemExit", "enough", 2),
        ("aborts", "GeneratorExit", "", 2),
        ("text", "TypeError", "text returned str, not bytes", None),
        ("none", "TypeError", "none returned NoneType, not bytes", None),
        ("later", "TypeError", "later returned coroutine, not bytes", None),
        ("path", "FileNotFoundError", "[Errno 2] No such file or directory: 'data.txt'", 2),
        ("mute", "MuteError", "", 7),
    ],
)
def test_each_kind_of_failure_is_told(
    function: str, kind: str, text: str, offset: int | None
) -> None:
    (answer,) = run(Failing("worker1"), f"server.{function}")
    called = inspect.unwrap(getattr(Failing, function))
    line = 0 if offset is None else line_of(called, offset)
    assert answer.payload == b"0"
    assert answer.error == PalmError(
        server="worker1", function=f"server.{function}", kind=kind, text=text, line=line
    )


def test_a_function_that_yields_is_told_where_it_may() -> None:
    (answer,) = run(Failing("worker1"), "server.yields")
    assert answer.error.text.endswith("derive from MuxWorker for functions that yield")


def test_a_text_is_bounded_and_tells_nothing_of_the_machine() -> None:
    (answer,) = run(Failing("worker1"), "server.odd")
    text = answer.error.text
    assert text.startswith("\\ud800 <object object> x.txt")
    assert len(text) < 1100


def test_the_log_has_one_line_and_the_traceback_of_the_user_s_function(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Failing("worker1"))
        client = cluster.client(timeout=5)
        with pytest.raises(FunctionError):
            client.eval("server.raises", b"x")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.message == "worker1: server.raises failed"
    assert record.exc_info
    trace = record.exc_info[2]
    assert trace
    assert trace.tb_frame.f_code is Failing.raises.__code__
    assert trace.tb_next is None


def test_ctrl_c_is_no_failure_of_the_function() -> None:
    class Interrupted(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Interrupted("worker1"), "server.foo")


def test_what_failed_first_is_what_is_told() -> None:
    worker = Failing("worker1")
    (first,) = run(worker, "server.raises next.text")
    first.stage += 1
    (second,) = worker.answers(first)
    assert (second.payload, second.error.function) == (b"0", "server.raises")


def test_a_job_gives_all_other_answers_and_then_raises() -> None:
    for seed in (None, 1):
        with lab.Cluster(seed) as cluster:
            cluster.add(lab.Master("server"))
            cluster.add(Numbers("worker1"))
            client = cluster.client()
            job = client.job("server.double", [b"1", b"b", b"2", b"c"], messages=4)
            assert (next(job), next(job)) == (b"2", b"4")
            with pytest.raises(
                FunctionError, match=r"'b'.*; 1 more of this call failed$"
            ) as failed:
                next(job)
            assert failed.value.others == 1
            assert list(client.job("server.double", [b"1"], messages=1)) == [b"2"]
        assert cluster.trace.check() == []


class Numbers(lab.Worker):
    """Doubles a number."""

    def double(self, payload: bytes) -> bytes:
        """Twice the payload."""
        return str(2 * int(payload)).encode()


def test_answers_that_do_not_come_are_told_together_with_those_that_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Numbers("worker1"))
        client = cluster.client(timeout=0.05)
        with pytest.raises(NoAnswer, match=r"Of those that came: server\.double failed on"):
            list(client.job("server.double", [b"a", b"1"], messages=3))
        caplog.clear()
        # A job without an end raises nothing of the kind, so it says it.
        with pytest.raises(NoAnswer):
            list(client.job("server.double", [b"a", b"b", b"1"]))
        told = [r.message for r in caplog.records if r.message.startswith("client: server.double")]
        assert len(told) == 1


def test_where_errors_are_returned_the_payload_is_a_zero() -> None:
    with lab.Cluster() as cluster:
        server = cluster.add(lab.Master("server"))
        cluster.add(Failing("worker1"))
        client = cluster.client(timeout=5, errors="return")
        assert client.eval("server.raises", b"x") == b"0"
        assert list(client.job("server.absent", [b"x"] * 3, messages=3)) == [b"0"] * 3
        address = server.bypass_components["Cache"].listen_to.address
        # The documented client's way, unless told otherwise.
        context = server.router.context
        with Client("server", address, timeout=5, context=context) as documented:
            assert documented.eval("server.raises", b"x") == b"0"
        with pytest.raises(WiringError, match=r"errors='ignore': .*return.*raise"):
            cluster.client(errors="ignore")


# ------------------------------------------------------------------------------ what is on the wire


class Wires:
    """Plain sockets in the place of a master, and a worker at them."""

    def __init__(self, worker: type[lab.Worker], **options: Any) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.push, self.pull = (self.context.socket(kind) for kind in (zmq.PUSH, zmq.PULL))
        self.pull.rcvtimeo = 5000
        ports = [one.bind_to_random_port("tcp://127.0.0.1") for one in (self.push, self.pull)]
        self.worker = worker(
            "worker1",
            push_address=f"tcp://127.0.0.1:{ports[0]}",
            pull_address=f"tcp://127.0.0.1:{ports[1]}",
            db_address="tcp://127.0.0.1:1",
            context=self.context,
            **options,
        )

    def __enter__(self) -> Wires:
        self.worker.launch()
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.stop()
        assert self.worker.join(5)
        self.worker.cleanup()
        self.push.close(0)
        self.pull.close(0)
        self.context.term()

    def ask(self, data: bytes, answers: int = 1) -> list[bytes]:
        """Give the worker a message, and take its answers."""
        self.push.send(data)
        return [self.pull.recv() for _ in range(answers)]


def numbers(data: bytes) -> list[int]:
    """The numbers of the fields in these bytes, in order."""
    found, at = [], 0
    while at < len(data):
        key, at = wire._varint(data, at)
        size, at = wire._varint(data, at)
        at += size if key & 7 == 2 else 0
        found.append(key >> 3)
    return found


ASKED = PalmMessage(
    pipeline="p", client="c", stage=1, function="a.b server.sell", cache="k", payload=b"abc"
)
#: Fields that this version does not know.
UNKNOWN = b"\x92\x3f\x03abc" + b"\xa0\x3f\x07"


def test_with_nothing_failed_and_nobody_recording_there_are_fields_1_to_6_only() -> None:
    with Wires(Shop) as wires:
        (answer,) = wires.ask(ASKED.SerializeToString())
        assert numbers(answer) == [1, 2, 3, 4, 5, 6]
        expected = PalmMessage()
        expected.CopyFrom(ASKED)
        expected.payload = b"cba"
        assert answer == expected.SerializeToString()


@pytest.mark.parametrize("function", ["sell", "absent"])
def test_fields_of_other_versions_come_back_and_the_stamp_stays_last(function: str) -> None:
    asked = PalmMessage(function=f"server.{function}", payload=b"abc").SerializeToString()
    stamp = wire.Stamp(1, 2, 3)
    with Wires(Shop) as wires:
        (answer,) = wires.ask(wire.write_stamp(asked + UNKNOWN, stamp))
    assert UNKNOWN in answer
    assert wire.read_stamp(answer) == stamp
    assert PalmMessage.FromString(answer).payload == (b"cba" if function == "sell" else b"0")


def test_a_message_for_each_result_keeps_what_this_version_does_not_know() -> None:
    asked = PalmMessage(function="server.many", payload=b"3", cache="k").SerializeToString()
    with Wires(Mixed) as wires:
        answers = wires.ask(asked + UNKNOWN, 3)
    assert all(UNKNOWN in answer for answer in answers)
    parsed = [PalmMessage.FromString(answer) for answer in answers]
    assert [(one.payload, one.cache) for one in parsed] == [(b"%d" % n, "k") for n in range(3)]


# ------------------------------------------------------------------------------------- many results


@pytest.mark.parametrize(
    ("function", "payload", "answers"),
    [
        ("many", b"3", [b"0", b"1", b"2"]),
        ("many", b"1", [b"0"]),
        ("many", b"0", []),
        ("listed", b"x", [b"x", b"x"]),
        ("one", b"x", [b"x"]),
        ("echo", b"x", [b"x"]),
    ],
)
def test_a_mux_worker_gives_none_one_or_many_results(
    function: str, payload: bytes, answers: list[bytes]
) -> None:
    found = run(Mixed("mux"), f"server.{function}", payload)
    assert [one.payload for one in found] == answers
    assert not any(one.HasField("error") for one in found)
    assert len({id(one) for one in found}) == len(answers)


@pytest.mark.parametrize(
    ("function", "before", "kind", "text"),
    [
        ("half", [b"first", b"second"], "ValueError", "no third"),
        ("wrong", [b"first"], "TypeError", "wrong gave int, not bytes"),
        ("nothing", [], "TypeError", "nothing returned NoneType, not bytes or a generator of them"),
        ("text", [], "TypeError", "text returned str, not bytes or a generator of them"),
        ("many", [], "ValueError", "invalid literal for int() with base 10: b'x'"),
    ],
)
def test_a_generator_that_fails_has_what_it_gave_and_one_failure(
    function: str, before: list[bytes], kind: str, text: str
) -> None:
    *given, failed = run(Mixed("mux"), f"server.{function}")
    assert [one.payload for one in given] == before
    assert not any(one.HasField("error") for one in given)
    assert (failed.payload, failed.error.kind, failed.error.text) == (b"0", kind, text)
    expected = {"half": line_of(Mixed.half, 4), "many": line_of(Mixed.many)}.get(function, 0)
    assert failed.error.line == expected


@pytest.mark.parametrize("seed", [None, 1])
def test_a_mux_worker_in_a_cluster_goes_on_after_a_failure(seed: int | None) -> None:
    with lab.Cluster(seed) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Mixed("worker1"))
        client = cluster.client()
        job = client.job("server.half", [b"x"], messages=3)
        assert (next(job), next(job)) == (b"first", b"second")
        with pytest.raises(FunctionError, match="no third"):
            next(job)
        answers = client.job("server.many", [b"2", b"0", b"3"], messages=5)
        assert list(answers) == [b"0", b"1", b"0", b"1", b"2"]
    # That nothing came of one was meant so, and is told.
    assert [event.text for event in cluster.trace.events if event.what == "drop"] == [GAVE_NOTHING]
    assert cluster.trace.check() == []


def test_a_generator_that_is_not_read_to_its_end_is_closed() -> None:
    closed = []

    class Endless(lab.MuxWorker):
        def foo(self, payload: bytes) -> Iterator[bytes]:
            try:
                while True:
                    yield payload
            finally:
                closed.append(self.message.function)

    answers = Endless("mux").answers(PalmMessage(function="server.foo"))
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert closed == ["server.foo"]


def test_a_generator_that_fails_as_it_is_closed_takes_nobody_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Stubborn(lab.MuxWorker):
        def foo(self, payload: bytes) -> Iterator[Any]:
            try:
                yield 1
            finally:
                raise ValueError("not yet")

    (answer,) = run(Stubborn("mux"), "server.foo")
    assert answer.error.text == "foo gave int, not bytes"
    assert [record.message for record in caplog.records] == [
        "mux: foo gave int, not bytes",
        "mux: foo failed when it was closed",
    ]


def test_an_iterator_that_always_fails_is_asked_once() -> None:
    class Broken(Iterator[bytes]):
        def __next__(self) -> bytes:
            raise ValueError("broken")

    class Gives(lab.MuxWorker):
        def foo(self, payload: bytes) -> Iterator[bytes]:
            return Broken()

    answers = Gives("mux").answers(PalmMessage(function="server.foo"))
    assert [one.error.text for one in itertools.islice(answers, 3)] == ["broken"]


# ----------------------------------------------------------------------------------- without an end


def test_a_function_without_an_end_is_named_and_the_cluster_stops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Stuck(lab.MuxWorker):
        def foo(self, payload: bytes) -> Iterator[bytes]:
            yield payload
            entered.set()
            leave.wait(30)

    cluster = lab.Cluster(record=False)
    cluster.add(lab.Master("server"))
    stuck = cluster.add(Stuck("worker1"))
    client = cluster.client(timeout=5)
    assert client.eval("server.foo", b"x") == b"x"
    assert entered.wait(5)
    assert "worker1 waits for its function foo to return" in str(cluster.waiting())
    assert not cluster.stop(0.2)
    assert "worker1" in caplog.text
    leave.set()
    assert stuck.join(5)
