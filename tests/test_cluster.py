"""Cluster: who takes part, side by side, and how everything ends."""

from __future__ import annotations

import _thread
import collections
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading

import pytest

import pylm_lab as lab
from pylm_lab.errors import FunctionError, RunError, WiringError
from pylm_lab.hook import Hook
from pylm_lab.scenarios import Greeter


def a_cluster(**options: object) -> lab.Cluster:
    cluster = lab.Cluster(**options)  # type: ignore[arg-type]
    cluster.add(lab.Master("server"))
    cluster.add(Greeter("worker1", server="server"))
    cluster.add(Greeter("worker2", server="server"))
    return cluster


def ten(client: lab.Client) -> list[bytes]:
    return list(client.job("server.foo", [b"a message"] * 10, messages=10))


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
@pytest.mark.timeout(120)
def test_free_running_nothing_is_lost_doubled_or_mixed_up(transport: str, scale: int) -> None:
    for _ in range(5 * scale):
        with lab.Cluster(transport=transport) as cluster:  # type: ignore[arg-type]
            cluster.add(lab.Master("server"))
            for position in range(4):
                cluster.add(lab.Worker(f"worker{position}"))
            client = cluster.client(timeout=10)
            wanted = [str(n).encode() for n in range(1000)]
            found = list(client.job("server.echo", wanted, messages=1000))
        assert sorted(found) == sorted(wanted)
        assert cluster.trace.check() == []


def test_two_clusters_side_by_side_do_not_meet() -> None:
    with a_cluster() as one, a_cluster() as two:
        first, second = one.client("server", timeout=5), two.client("server", timeout=5)
        for client in (first, second, first, second):
            assert len(ten(client)) == 10
    for cluster in (one, two):
        assert cluster.trace.check() == []
        assert sum(hop.source == "client" for hop in cluster.trace.hops_of("message")) == 20


def test_a_cell_run_twice_works_twice_and_the_first_is_ended() -> None:
    before = threading.active_count()
    for _ in range(3):
        cluster = a_cluster()
        assert len(ten(cluster.client("server", timeout=5))) == 10
    running = threading.active_count()
    del cluster
    gc.collect()
    assert running - before == 8, "the forgotten ones were not ended"
    assert threading.active_count() == before


def test_stop_can_be_called_twice_and_nothing_starts_afterwards() -> None:
    cluster = a_cluster()
    client = cluster.client("server", timeout=5)
    ten(client)
    cluster.stop()
    cluster.stop()
    assert "ended" in repr(cluster)
    with pytest.raises(RunError, match="has ended"):
        cluster.client("server")
    with pytest.raises(RunError, match="has ended"):
        cluster.add(lab.Worker("late"))


def test_a_worker_may_join_a_running_cluster() -> None:
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        client = cluster.client(timeout=5)
        cluster.add(Greeter("late"))
        assert client.eval("server.foo", b"a message") == b"late processed a message"


def test_ids_are_unique_where_names_are_not() -> None:
    with lab.Cluster(seed=1) as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Greeter("same"))
        cluster.add(Greeter("same"))
        ten(cluster.client())
    assert {"same", "same2"} <= {actor.id for actor in cluster.trace.actors}


def fail_in_the_middle(cluster: lab.Cluster) -> None:
    with cluster:
        next(cluster.client("server").job("server.foo", [b"x"] * 10))
        raise KeyError("planned")


def test_an_error_in_the_block_ends_everything_and_is_raised() -> None:
    before = threading.active_count()
    for seed in (None, 1):
        with pytest.raises(KeyError, match="planned"):
            fail_in_the_middle(a_cluster(seed=seed))
        assert threading.active_count() == before


def test_a_hook_hears_everything_and_must_be_there_from_the_beginning() -> None:
    class Count(Hook):
        sent = 0

        def hop_sent(self, port: object, frames: object, at: int) -> None:
            Count.sent += 1

    with a_cluster(seed=1).attach(Count()) as cluster:
        ten(cluster.client("server"))
        with pytest.raises(RunError, match="attach hooks before"):
            cluster.attach(Count())
    assert Count.sent == sum(event.what == "send" for event in cluster.trace.events)


def test_without_a_recorder_messages_carry_the_documented_fields_only() -> None:
    class Look(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            """Return the message as it came."""
            return self.message.SerializeToString()

    for record, extra in ((True, 30), (False, 0)):
        with lab.Cluster(record=record) as cluster:
            cluster.add(lab.Master("server"))
            cluster.add(Look("worker1"))
            data = cluster.client(timeout=5).eval("server.foo", b"x")
            assert isinstance(data, bytes)
            assert len(data) - 30 * data.endswith(b"\0" * 4) in (len(data), len(data) - 30)
            assert (b"\xfa\xff\xff\xff\x0f\x18" in data) is bool(extra)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"seed": "1"}, "seed='1'"),
        ({"seed": True}, "seed=True"),
        ({"transport": "udp"}, "transport='udp'"),
        ({"seed": 1, "transport": "tcp"}, "inproc"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(WiringError, match=text):
        lab.Cluster(**options)  # type: ignore[arg-type]


def test_a_server_that_takes_no_part_is_named_with_the_nearest() -> None:
    cluster = lab.Cluster()
    with pytest.raises(WiringError, match="there is no server for a client"):
        cluster.client("server")
    cluster.add(lab.Master("server"))
    with pytest.raises(WiringError, match=r"'sever'.*did you mean 'server'"):
        cluster.client("sever")
    cluster.add(lab.Worker("worker1", server="sevrer"))
    with pytest.raises(WiringError, match="worker1 asks for the server 'sevrer'"):
        cluster.client("server")
    cluster.add(lab.Master("second"))
    with pytest.raises(WiringError, match="must say which server it means: 'server', 'second'"):
        cluster.client()


def test_only_servers_and_workers_can_be_added_each_once() -> None:
    cluster = lab.Cluster()
    with pytest.raises(WiringError, match="neither a server nor a worker"):
        cluster.add("server")  # type: ignore[type-var]
    server = cluster.add(lab.Master("server"))
    with pytest.raises(WiringError, match="takes part already"):
        cluster.add(server)


SCRIPT = """
import pylm_lab as lab
with lab.Cluster(seed={seed}) as cluster:
    cluster.add(lab.Master("server"))
    cluster.add(lab.Worker("worker1"))
    client = cluster.client()
    print("up", flush=True)
    def for_ever():
        while True:
            yield b"x"
    for answer in client.job("server.echo", for_ever()):
        pass
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
@pytest.mark.parametrize("seed", [None, 1])
def test_ctrl_c_in_a_running_job_ends_the_process(seed: int | None) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(seed=seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("seed", [None, 1])
def test_after_an_interrupt_the_cluster_can_still_be_stopped(seed: int | None) -> None:
    class Interrupt(Hook):
        sent = itertools.count(1)  # counts rightly from several threads

        def hop_sent(self, port: object, frames: object, at: int) -> None:
            if next(Interrupt.sent) == 300:
                _thread.interrupt_main()

    before = threading.active_count()
    cluster = a_cluster(seed=seed).attach(Interrupt())
    client = cluster.client("server")
    with pytest.raises(KeyboardInterrupt):
        list(client.job("server.foo", itertools.repeat(b"x")))
    if seed is None:
        assert client.eval("server.echo", b"after") == b"after"
    else:
        with pytest.raises(RunError, match=r"client can do nothing more: .* was interrupted"):
            client.eval("server.echo", b"after")
    cluster.stop()
    assert threading.active_count() == before


def test_a_process_that_forgets_its_cluster_ends() -> None:
    script = (
        "import pylm_lab as lab\n"
        "cluster = lab.Cluster()\n"
        "cluster.add(lab.Master('server'))\n"
        "cluster.add(lab.Worker('worker1'))\n"
        "print(cluster.client().eval('server.echo', b'x'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True
    )
    assert (done.stdout, done.stderr) == ("b'x'\n", "")


def test_the_messages_are_dealt_evenly_under_a_seed() -> None:
    for seed in range(10):
        with a_cluster(seed=seed) as cluster:
            answers = ten(cluster.client("server"))
        assert sorted(collections.Counter(answers).values()) == [5, 5]


def test_what_runs_already_is_not_run_twice() -> None:
    before = threading.active_count()
    server = lab.Master("server")
    with server:
        with pytest.raises(RunError, match="runs already"):
            server.launch()
        cluster = lab.Cluster()
        with pytest.raises(RunError, match="'server' runs already"):
            cluster.add(server)
    assert threading.active_count() == before


def test_a_server_and_a_worker_can_be_used_in_one_cluster_after_the_other() -> None:
    server, worker = lab.Master("server"), Greeter("worker1", server="server")
    for options in ({"seed": 1}, {}, {"transport": "tcp"}, {"seed": 2}):
        with lab.Cluster(**options) as cluster:
            cluster.add(server)
            cluster.add(worker)
            client = cluster.client(timeout=5)
            for _ in range(4):
                assert client.eval("server.foo", b"x") == b"worker1 processed x"
        assert cluster.trace.check() == []
        address = server.cache.get("pull_address") or b""
        assert address.startswith(b"tcp:" if "transport" in options else b"inproc:")


def test_a_run_that_is_given_up_as_endless_still_ends() -> None:
    class Round(lab.Master):
        def __init__(self) -> None:
            super().__init__("server")
            self.router.table.inbound[b"WorkerPull"].route = "WorkerPush"

    before = threading.active_count()
    with lab.Cluster(1, limit=500) as cluster:
        cluster.add(Round())
        cluster.add(Greeter("worker1"))
        client = cluster.client()
        with pytest.raises(lab.LabError, match="still moving after 500 steps"):
            client.eval("server.foo", b"x")
    assert "ended" in repr(cluster)
    assert threading.active_count() == before


def test_a_worker_that_hangs_beyond_the_deadline_is_named_and_cleans_up_when_it_returns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    entered, leave = threading.Event(), threading.Event()

    class Hangs(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            """Come back only when told."""
            entered.set()
            leave.wait(20)
            return payload

    cluster = lab.Cluster()
    cluster.add(lab.Master("server"))
    worker = cluster.add(Hangs("worker1"))
    job = threading.Thread(target=ask_and_be_stopped, args=(cluster.client(),))
    job.start()
    assert entered.wait(5)
    cluster.stop(timeout=0.2)
    job.join(5)
    assert "left to themselves: worker1" in caplog.text
    leave.set()
    assert worker.join(5)
    assert not worker.is_open


def ask_and_be_stopped(client: lab.Client) -> None:
    with pytest.raises(RunError, match="stopped while a call waited"):
        client.eval("server.foo", b"x")


def test_a_function_that_exits_ends_its_call_and_not_the_worker() -> None:
    class Exits(lab.Worker):
        def foo(self, payload: bytes) -> bytes:
            """Try to end the process."""
            sys.exit(3)

    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        cluster.add(Exits("worker1"))
        client = cluster.client(timeout=5)
        with pytest.raises(FunctionError, match="SystemExit: 3"):
            client.eval("server.foo", b"x")
        assert client.eval("server.echo", b"x") == b"x"


def test_a_nameless_worker_has_a_name_in_a_cluster() -> None:
    traces = []
    for _ in range(2):
        with lab.Cluster(seed=1) as cluster:
            cluster.add(lab.Master("server"))
            cluster.add(Greeter())
            cluster.add(Greeter())
            ten(cluster.client())
        traces.append(cluster.trace)
    assert traces[0].events == traces[1].events
    assert [a.id for a in traces[0].actors if a.role == "worker"] == ["worker", "worker2"]


def test_an_option_that_no_client_has_is_named() -> None:
    cluster = lab.Cluster()
    cluster.add(lab.Master("server"))
    with pytest.raises(WiringError, match="no option 'timeoutt'"):
        cluster.client(timeoutt=3)


def test_a_worker_that_is_called_like_a_part_is_given_another_id() -> None:
    with lab.Cluster() as cluster:
        cluster.add(lab.Master("server"))
        worker = cluster.add(lab.Worker("server.Pull"))
        assert worker.id != "server.Pull"
        assert cluster.client(timeout=5).eval("server.echo", b"x") == b"x"
        assert len({actor.id for actor in cluster.trace.actors}) == len(cluster.trace.actors)
