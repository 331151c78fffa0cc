"""What goes wrong in the world: killed processes, stops under load, Ctrl-C at any moment.

Everything ends within `DEADLINE`, nothing is answered twice, and what is lost can be named. The
moments are random and seeded: counts of answers or of lines, never times.
"""

from __future__ import annotations

import collections
import gc
import itertools
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

import leaks
import pytest
import zmq
from processes import Script, free_ports, within

import pylm_lab as lab
from pylm_lab.errors import NoAnswer, RunError
from pylm_lab.parts.publishing import KNOWN_TOPICS
from pylm_lab.trace import Recorder

#: Seconds within which everything ends that is to end.
DEADLINE = 2.0
#: Seconds that a client waits for each answer, where some never come.
PATIENCE = 1.0


@pytest.fixture
def times(scale: int) -> int:
    """How often: 5, and 50 in the full run."""
    return 50 if scale >= 5 else 5


@contextmanager
def running(*workers: lab.Worker) -> Iterator[None]:
    """Workers beside a master that is none of a cluster."""
    try:
        for worker in workers:
            worker.launch()
        for worker in workers:
            assert worker.is_ready.wait(10), f"{worker.id} is not ready: {worker.reason}"
        yield
    finally:
        for worker in workers:
            worker.stop()
        ended = [worker.join(DEADLINE) for worker in workers]
        for worker in workers:
            worker.cleanup()
        assert all(ended), f"within {DEADLINE:g} s: {dict(zip(workers, ended, strict=True))}"


def cache_of(server: lab.Master) -> str:
    return server.bypass_components["Cache"].listen_to.address


def numbers() -> Iterator[bytes]:
    return (str(n).encode() for n in itertools.count())


# ------------------------------------------------------------------------- a worker that is killed

WORKER = """
import sys
import pylm_lab as lab

class Names(lab.Worker):
    def foo(self, payload):
        return self.name.encode() + b" " + payload

print("imported", flush=True)
name, address = sys.stdin.readline().split()
worker = Names(name, address, server="server")
worker.launch()
worker.is_ready.wait()
print("ready", flush=True)
sys.stdin.read()  # until the test has gone
"""

MASTER = """
import sys
import pylm_lab as lab

with lab.Master("server", db_address=sys.argv[1]):
    print("ready", flush=True)
    sys.stdin.read()
"""
JOB = 2000


@pytest.mark.timeout(240)
@pytest.mark.parametrize("place", ["here", "in its own process"])
def test_a_killed_worker_takes_with_it_what_it_was_dealt_and_nothing_else(
    place: str, times: int
) -> None:
    """Messages are dealt in rounds, so one of two workers is dealt half of them, at the most."""
    (address,) = free_ports(1)
    chance = random.Random(f"kill {place}")
    with ExitStack() as stack:
        if place == "here":
            stack.enter_context(lab.Master("server", db_address=address))
        else:
            assert stack.enter_context(Script(MASTER, address)).line() == "ready"
        spares = (stack.enter_context(Script(WORKER)) for _ in itertools.count())
        workers = {"w0": hired(next(spares), "w0", address), "": next(spares)}
        client = stack.enter_context(lab.Client("server", address, timeout=PATIENCE))
        for n in range(times // 2 + (place == "here" and times % 2)):
            name = f"w{n + 1}"
            workers[name] = hired(workers.pop(""), name, address)
            workers[""] = next(spares)  # it imports, meanwhile
            everybody = {name for name in workers if name}
            wait_for_all(client, everybody)
            victim, moment = chance.choice(sorted(everybody)), chance.randrange(1, JOB * 4 // 5)
            answers, took = job_with_a_kill(client, workers.pop(victim), moment)
            told = f"repetition {n}: {victim} of {sorted(everybody)} killed after {moment} answers"
            check_what_is_lost(answers, victim, told)
            assert took <= PATIENCE + 1, f"{told}: the job took {took:.2f} s to end after the last"
            # The master goes on, and with it the other worker.
            with within(DEADLINE, f"{told}: a fresh call"):
                assert (
                    client.eval("server.foo", b"x") == f"{(everybody - {victim}).pop()} x".encode()
                )


def hired(script: Script, name: str, address: str) -> Script:
    assert script.line() == "imported"
    script.tell(f"{name} {address}")
    assert script.line() == "ready"
    return script


def wait_for_all(client: lab.Client, names: set[str]) -> None:
    """Until each of the workers has answered once, so each is connected on both sides."""
    seen: collections.Counter[str] = collections.Counter()
    with within(10, "waiting for each worker's first answer"):
        while set(seen) != names:
            answer = client.eval("server.foo", b"")
            assert isinstance(answer, bytes)
            seen[answer.decode().strip()] += 1
            assert sum(seen.values()) < 10_000, f"of {names}, only these answer: {seen}"


def job_with_a_kill(client: lab.Client, victim: Script, moment: int) -> tuple[list[bytes], float]:
    """The answers, and how many seconds after the last of them the job ended."""
    answers: list[bytes] = []
    last = time.monotonic()
    payloads = [str(n).encode() for n in range(JOB)]
    try:
        for answer in client.job("server.foo", payloads, messages=JOB):
            answers.append(answer)
            if len(answers) == moment:
                victim.kill()
            last = time.monotonic()
    except NoAnswer as error:
        print(error)
    return answers, time.monotonic() - last


def check_what_is_lost(answers: list[bytes], victim: str, told: str) -> None:
    by: dict[str, set[int]] = collections.defaultdict(set)
    seen: collections.Counter[int] = collections.Counter()
    for answer in answers:
        name, number = answer.decode().split()
        by[name].add(int(number))
        seen[int(number)] += 1
    twice = [number for number, count in seen.items() if count > 1]
    assert not twice, f"{told}: answered twice: {twice[:10]}"
    assert set(seen) <= set(range(JOB)), f"{told}: answers to what nobody asked"
    lost, held = JOB - len(seen), len(by[victim])
    told = f"{told}, which had answered {held}: {lost} of {JOB} are lost"
    print(told)
    assert lost + held <= JOB // 2 + 1, f"{told}, more than it was dealt"


# ------------------------------------------------------------------------ a master that is stopped


def ask_for_ever(
    client: lab.Client, moment: int, stopper: threading.Thread, begin: list[float]
) -> None:
    """Let somebody stop it all after so many answers; `begin` gets the time of that."""
    for answered, _ in enumerate(client.job("server.echo", numbers()), 1):
        if answered == moment:
            begin.append(time.monotonic())
            stopper.start()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("recorded", [False, True])
def test_a_master_stops_under_load_and_the_waiting_call_ends(recorded: bool, times: int) -> None:
    chance = random.Random("stop")
    for n in range(times // 2 + (times % 2 and recorded)):
        moment = chance.randrange(1, 2000)
        server = lab.Master("server")
        if recorded:
            server.attach(Recorder(limit=1000))
        stopped: list[tuple[bool, float]] = []

        def stop(server: lab.Master = server, stopped: list[Any] = stopped) -> None:
            begin = time.monotonic()
            stopped.append((server.stop(), time.monotonic() - begin))

        stopper = threading.Thread(target=stop, name="stopper")
        with (
            server,
            running(lab.Worker("worker1", cache_of(server))),
            lab.Client("server", cache_of(server), timeout=0.5) as client,
        ):
            begin: list[float] = []
            with pytest.raises(NoAnswer, match=r"and no other within 0\.5 s") as caught:
                ask_for_ever(client, moment, stopper, begin)
            told = f"repetition {n}, stopped after {moment} answers: {caught.value}"
            assert begin, f"{told}, before the stop"
            took = time.monotonic() - begin[0]
            stopper.join(10)
            assert stopped, f"{told}: stop() has not returned after 10 s"
            print(told, stopped, took)
            assert stopped[0][0], f"{told}: stop() returned False"
            assert stopped[0][1] <= DEADLINE, f"{told}: stop() took {stopped[0][1]:.2f} s"
            assert took <= DEADLINE, f"{told}: the call ended {took:.2f} s after the stop"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_a_cluster_stops_under_load_and_the_waiting_call_says_so(
    transport: Any, times: int
) -> None:
    chance = random.Random(f"stop {transport}")
    for n in range(times // 2 + (times % 2 and transport == "inproc")):
        moment = chance.randrange(1, 2000)
        cluster = lab.Cluster(transport=transport, record=n % 2 == 0)
        cluster.add(lab.Master("server"))
        cluster.add(lab.Worker("worker1"))
        stopper = threading.Thread(target=cluster.stop, name="stopper")
        told = f"repetition {n}, stopped after {moment} answers"
        begin: list[float] = []
        with pytest.raises(RunError, match=r"client (was stopped while a call waited|is closed)"):
            ask_for_ever(cluster.client(), moment, stopper, begin)
        ended = time.monotonic() - begin[0]
        stopper.join(10)
        took = time.monotonic() - begin[0]
        print(f"{told}: the call ended after {ended:.2f} s, the stop after {took:.2f} s")
        assert ended <= DEADLINE, f"{told}: the call ended only after {ended:.2f} s"
        assert took <= DEADLINE, f"{told}: cluster.stop() took {took:.2f} s"
        assert "ended" in repr(cluster), told


# --------------------------------------------------------------------------- a client that vanishes

CLIENT = """
import itertools
import sys
import pylm_lab as lab

print("imported", flush=True)
client = lab.Client("server", sys.stdin.readline().strip())
for n, answer in enumerate(client.job("server.echo", itertools.repeat(b"x" * 100))):
    if n % 50 == 0:
        print(n, flush=True)
"""


def holdings(server: lab.Master) -> dict[str, int]:
    """How much each part of a server remembers: the size of whatever has one."""
    return {
        f"{actor.name}.{name}": len(value)
        for actor in server.actors
        for name, value in vars(actor).items()
        if isinstance(value, dict | list | set | collections.deque)
    }


def settled(look: Callable[[], object], wanted: object, told: str) -> None:
    """Fail unless `look` gives what is wanted by the deadline."""
    end = time.monotonic() + DEADLINE
    pause = threading.Event()
    while (found := look()) != wanted:
        assert time.monotonic() < end, f"{told}: after {DEADLINE:g} s {found}, not {wanted}"
        pause.wait(0.005)


class Counting(lab.Worker):
    """Gives back what it gets, and counts."""

    calls = 0

    def count(self, payload: bytes) -> bytes:
        self.calls += 1
        return payload


def connections() -> int:
    """Sockets of the system that this process has."""
    return sum(leaks._kind(to) == "socket" for to in leaks._descriptors().values())


@pytest.mark.timeout(120)
def test_clients_that_are_killed_are_forgotten_and_others_are_answered(times: int) -> None:
    chance = random.Random("vanish")
    with ExitStack() as stack:
        server = stack.enter_context(lab.Master("server"))
        stack.enter_context(running(lab.Worker("worker1", cache_of(server))))
        witness = stack.enter_context(lab.Client("server", cache_of(server), timeout=5))
        assert witness.eval("server.echo", b"x") == b"x"
        pub: Any = server.outbound_components["Pub"]
        settled(lambda: dict(pub._topics), {}, "before")
        before = connections()
        spare = stack.enter_context(Script(CLIENT))
        for n in range(times):
            client, spare = spare, stack.enter_context(Script(CLIENT))
            assert client.line() == "imported"
            client.tell(cache_of(server))
            lines = chance.randrange(1, 40)
            for _ in range(lines):
                client.line()
            client.kill()
            told = f"repetition {n}, killed after {lines} lines"
            with within(DEADLINE, f"{told}: the answer to another client"):
                assert witness.eval("server.echo", b"x") == b"x"
            settled(connections, before, f"{told}: tcp connections")
            settled(lambda: dict(pub._topics), {}, f"{told}: topics")


@pytest.mark.filterwarnings("ignore:Unclosed socket:ResourceWarning")  # of what is forgotten
@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["close the job", "close the client", "forget both"])
def test_a_client_in_this_process_may_leave_in_the_middle_of_a_job(how: str, times: int) -> None:
    chance = random.Random(how)
    with ExitStack() as stack:
        server = stack.enter_context(lab.Master("server"))
        worker = Counting("worker1", cache_of(server))
        stack.enter_context(running(worker))
        witness = stack.enter_context(lab.Client("server", cache_of(server), timeout=5))
        assert witness.eval("server.echo", b"x") == b"x"
        pub: Any = server.outbound_components["Pub"]
        before = leaks.Snapshot()
        for n in range(times):
            client = lab.Client("server", cache_of(server), timeout=5)
            job = client.job("server.count", numbers())
            moment = chance.randrange(1, 3000)
            found = [int(answer) for answer in itertools.islice(job, moment)]
            assert found == list(range(moment))
            if how == "close the job":
                job.close()  # type: ignore[attr-defined]
                client.close()
            elif how == "close the client":
                client.close()
            del client, job
            gc.collect()
            told = f"repetition {n}, left after {moment} answers"
            with within(DEADLINE, f"{told}: the answer to another client"):
                assert witness.eval("server.echo", b"x") == b"x"
            settled(lambda: dict(pub._topics), {}, f"{told}: topics")
            # What was sent may leave for 2 s, and the server, which hears of the end after all that
            # came before, may be slow: as long as it works that off, nothing has leaked yet.
            calls = -1
            while (left := before.leaks(deadline=10)) and worker.calls > calls:
                calls = worker.calls
            assert left == [], told


def test_who_once_subscribed_is_not_remembered_for_ever() -> None:
    count = KNOWN_TOPICS + 2000
    with lab.Master("server") as server, zmq.Context() as context:
        pub: Any = server.outbound_components["Pub"]
        with context.socket(zmq.SUB) as many:
            many.linger = many.sndhwm = 0
            many.connect(pub.listen_to.address)
            for n in range(count):
                many.subscribe(f"client {n}")
                many.unsubscribe(f"client {n}")
            many.subscribe("the last")
            settled(lambda: dict(pub._topics), {b"the last": 1}, "topics")
        settled(lambda: dict(pub._topics), {}, "topics, at the end")
        grown = {name: size for name, size in holdings(server).items() if size > KNOWN_TOPICS}
    assert grown == {}, f"after {count} clients that came and went"


# ------------------------------------------------------------------------------------------ Ctrl-C

SCRIPT = """
import sys
print("begins", flush=True)
import itertools
import pylm_lab as lab
print("imported", flush=True)
pull, pub, worker_pull, worker_push, db = sys.argv[1:]
with lab.Cluster({options}) as cluster:
    print("a cluster", flush=True)
    cluster.add(lab.Master("server", pull, pub, worker_pull, worker_push, db))
    cluster.add(lab.Worker("worker1"))
    print("all added", flush=True)
    client = cluster.client()
    print("up", flush=True)
    for n, _ in enumerate(client.job("server.echo", itertools.repeat(b"x"))):
        if n % 50 == 0:
            print(n, flush=True)
"""
#: Lines until the run is up.
UP = 5

ALONE = """
import sys
print("begins", flush=True)
import pylm_lab as lab
print("imported", flush=True)
server = lab.Master("server", *sys.argv[1:])
worker = lab.Worker("worker1", sys.argv[-1])
print("made", flush=True)
with server, worker:
    print("up", flush=True)
    client = lab.Client("server", sys.argv[-1])
    print("a client", flush=True)
    for n, _ in enumerate(client.job("server.echo", iter(lambda: b"x", b""))):
        if n % 50 == 0:
            print(n, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT, which only POSIX systems can")
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(SCRIPT.format(options=""), id="recorded"),
        pytest.param(SCRIPT.format(options="record=False"), id="not recorded"),
        pytest.param(ALONE, id="no cluster"),
    ],
)
def test_one_ctrl_c_at_any_moment_ends_a_script_and_frees_its_ports(
    script: str, times: int
) -> None:
    """The documented end is a KeyboardInterrupt; the same addresses are bound by each next run."""
    chance = random.Random(script)
    addresses = free_ports(5)
    for n in range(-(-times // 3)):
        lines = chance.randrange(1, UP + 1) if n % 4 == 3 else chance.randrange(UP, 40)
        with Script(script, *addresses) as run:
            said = [run.line() for _ in range(lines)]
            told = f"repetition {n}, interrupted after {lines} lines, at {said[-1]!r}"
            run.interrupt()
            with within(DEADLINE, f"{told}: the end") as end:
                code = run.wait(told)
            print(f"{told}: {end.took:.2f} s")
            assert code == -signal.SIGINT, f"{told}: exit code {code}\n{run.errors}"
            assert run.errors.rstrip().endswith("KeyboardInterrupt"), f"{told}:\n{run.errors}"


SETTINGS = """
import itertools, random, sys, threading
import pylm_lab as lab
runs = 0
"""

CELL = """
runs += 1
count = 2000 if runs % 2 == 0 else sys.maxsize  # every other run is for ever
moment = random.Random(runs).randrange(1, 4000)
answers = []
before = threading.active_count()
with lab.Cluster({options}) as cluster:
    cluster.add(lab.Master("server"))
    cluster.add(lab.Worker("worker1"))
    client = cluster.client()
    payloads = (str(n).encode() for n in itertools.count())
    for answer in client.job("server.echo", payloads, messages=count):
        answers.append(int(answer))
        if len(answers) == moment and count > 2000:
            print("running", flush=True)
print(answers == list(range(2000)), threading.active_count() - before)
"""


#: Whoever sits at the notebook: runs each cell that it reads, interrupts it once it says "running",
#: and tells what it printed, its error, and how long after the interrupt it ended.
READER = """
import json
import sys
import time
from jupyter_client.manager import start_new_kernel

def run(code):
    said = error = ""
    sent = took = 0.0
    asked = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=20)
        content = message["content"]
        if message["parent_header"].get("msg_id") != asked:
            continue
        if message["msg_type"] == "stream":
            said += content["text"]
            if "running" in said and not sent:
                sent = time.monotonic()
                kernel.interrupt_kernel()
        elif message["msg_type"] == "error":
            error = content["ename"] + ": " + content["evalue"]
        elif message["msg_type"] == "status" and content["execution_state"] == "idle":
            return said, error, time.monotonic() - sent if sent else 0.0

kernel, client = start_new_kernel(kernel_name="python3")
try:
    print("up", flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
finally:
    client.stop_channels()
    kernel.shutdown_kernel(now=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT, which only POSIX systems can")
@pytest.mark.skipif(find_spec("ipykernel") is None, reason="there is no Jupyter kernel")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("options", ["", "record=False, transport='tcp'"])
def test_an_interrupted_cell_of_a_notebook_can_be_run_again(
    options: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where it is set, ipykernel takes our path for the folder that it starts in, and leaves it out.
    monkeypatch.delenv("PYTHONSAFEPATH")
    cell = CELL.format(options=options)
    with Script(READER) as reader:

        def outcome(code: str) -> tuple[str, str, float]:
            reader.tell(json.dumps(code))
            said, error, took = json.loads(reader.line())
            return said, error, took

        try:
            assert reader.line() == "up"
            assert outcome(SETTINGS) == ("", "", 0.0)
            for n in range(-(-times // 2)):
                said, error, took = outcome(cell)
                print(f"repetition {n}: the interrupted cell ended after {took:.2f} s")
                if "Unexpected exception formatting exception" in said:
                    # Of an interrupt between two lines IPython can't show where it came.
                    said, error = "running", said[said.index("KeyboardInterrupt") :][:17] + ": "
                assert (said.strip(), error) == ("running", "KeyboardInterrupt: "), (
                    f"repetition {n}"
                )
                assert took <= DEADLINE, (
                    f"repetition {n}: the interrupted cell ended after {took:.2f} s"
                )
                assert outcome(cell) == ("True 0\n", "", 0.0), f"repetition {n}"
        finally:
            reader.hang_up()  # it takes the kernel with it
