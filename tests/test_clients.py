"""The client: each answer to its own call, and clear words where there is none."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pylm_lab.clients import Client
from pylm_lab.cluster import Cluster
from pylm_lab.errors import LabError, NoAnswer, PayloadError, RunError
from pylm_lab.hook import Hook, Port
from pylm_lab.parts.services import CacheService
from pylm_lab.scenarios import build_master
from pylm_lab.servers import Master, Server, Worker
from pylm_lab.trace import Event, counts


@pytest.mark.timeout(120)
@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_2000_calls_that_each_subscribe_anew_get_2000_answers_of_their_own(
    transport: str,
) -> None:
    with Cluster(transport=transport, record=False) as cluster:  # type: ignore[arg-type]
        cluster.add(Master("server"))
        cluster.add(Worker("worker1"))
        client = cluster.client(timeout=10)
        for position in range(2000):
            asked = str(position).encode()
            assert client.eval("server.echo", asked) == asked


@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_a_new_client_for_every_call_gets_its_answer(transport: str) -> None:
    with Cluster(transport=transport, record=False) as cluster:  # type: ignore[arg-type]
        cluster.add(Master("server"))
        cluster.add(Worker("worker1"))
        for position in range(200):
            asked = str(position).encode()
            with cluster.client(timeout=10) as client:
                assert client.eval("server.echo", asked) == asked


class Twice(Worker):
    """Answers every message twice: the second time as surplus."""

    def foo(self, payload: bytes) -> bytes:
        """Send the answer once more than is asked for."""
        message = self.message
        message.payload = payload
        self.emit(self.push, [message.SerializeToString()])
        return payload


def test_surplus_of_one_call_never_comes_as_the_answer_of_the_next() -> None:
    with Cluster(record=False) as cluster:
        cluster.add(Master("server"))
        cluster.add(Twice("worker1"))
        client = cluster.client(timeout=10)
        for position in range(300):
            asked = str(position).encode()
            assert client.eval("server.foo", asked) == asked


def test_two_clients_at_once_get_their_own_answers(scale: int) -> None:
    with Cluster(record=False) as cluster:
        cluster.add(Master("server"))
        cluster.add(Worker("worker1"))
        cluster.add(Worker("worker2"))
        clients = [cluster.client(timeout=10), cluster.client(timeout=10)]
        found: dict[str, list[bytes]] = {}

        def ask(client: Client) -> None:
            wanted = [f"{client.name} {n}".encode() for n in range(500 * scale)]
            found[client.name] = sorted(client.job("server.echo", wanted, messages=len(wanted)))
            assert found[client.name] == sorted(wanted)

        threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == ["client", "client2"]


def test_a_job_is_lazy_and_can_be_left() -> None:
    asked: list[int] = []

    def payloads() -> Iterator[bytes]:
        while True:
            asked.append(len(asked))
            yield b"x"

    with Cluster(record=False) as cluster:
        cluster.add(Master("server"))
        cluster.add(Worker("worker1"))
        client = cluster.client(timeout=10)
        job = client.job("server.echo", payloads())
        assert asked == []
        assert next(job) == b"x"
        job.close()  # type: ignore[attr-defined]
        assert client.eval("server.echo", b"after") == b"after"


def test_several_answers_come_as_a_list() -> None:
    with Cluster(seed=1) as cluster:
        cluster.add(Master("server"))
        cluster.add(Twice("worker1"))
        client = cluster.client()
        assert client.eval("server.foo", b"x", messages=2) == [b"x", b"x"]


def test_the_cache_of_the_server_is_at_hand() -> None:
    with Cluster() as cluster:
        cluster.add(Master("server"))
        client = cluster.client(timeout=5)
        assert client.set(b"value", "key") == "key"
        assert client.get("key") == b"value"
        assert client.delete("key") == "key"
        assert client.get("key") is None
        assert client.delete("key") is None
        new = client.set(b"value")
        assert client.get(new) == b"value"


def test_a_session_prefixes_every_key() -> None:
    with Cluster() as cluster:
        server = cluster.add(Master("server"))
        client = cluster.client(timeout=5, session="mine/")
        # The addresses are the server's own, whatever the session.
        assert client.set(b"value", "key") == "key"
        assert server.cache.get("mine/key") == b"value"
        assert client.get("key") == b"value"
        assert client.delete("key") == "key"


@pytest.mark.parametrize("payload", ["text", 3, None, bytearray(b"x")])
def test_a_payload_that_is_not_bytes_is_a_clear_error(payload: object) -> None:
    with Cluster() as cluster:
        cluster.add(Master("server"))
        cluster.add(Worker("worker1"))
        client = cluster.client(timeout=5)
        kind = type(payload).__name__
        with pytest.raises(PayloadError, match=rf"payload 1 for server.echo is {kind}, not bytes"):
            client.eval("server.echo", payload)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            client.set(payload, "key")  # type: ignore[arg-type]
        assert client.eval("server.echo", b"still well") == b"still well"


@pytest.mark.parametrize("one", ["text", b"bytes", bytearray(b"x"), memoryview(b"x")])
def test_one_payload_in_place_of_a_list_of_them_is_refused(one: object) -> None:
    with Cluster() as cluster:
        cluster.add(Master("server"))
        kind = "text" if isinstance(one, str) else type(one).__name__
        with pytest.raises(PayloadError, match=f"one {kind}: give a list of payloads"):
            cluster.client(timeout=5).job("server.echo", one)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [5, b"key"])
def test_a_key_that_is_not_text_is_refused_before_anything_is_sent(key: object) -> None:
    with Cluster() as cluster:
        cluster.add(Master("server"))
        client = cluster.client(timeout=5)
        calls = [lambda: client.set(b"value", key), lambda: client.get(key)]  # type: ignore[arg-type]
        for call in (*calls, lambda: client.delete(key)):  # type: ignore[arg-type]
            with pytest.raises(PayloadError, match=f"key {key!r} is {type(key).__name__}, not tex"):
                call()  # type: ignore[no-untyped-call]
    asked = [hop for hop in cluster.trace.hops_of("request") if hop.source == "client"]
    assert len(asked) == 3  # its name and two addresses


def test_a_key_that_is_absent_is_the_reason_that_it_was_not_deleted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Cluster() as cluster:
        cluster.add(Master("server"))
        assert cluster.client(timeout=5).delete("zz") is None
    assert "server.Cache: can't delete: there is no key 'zz'" in caplog.text


def test_without_an_answer_the_words_fit_a_server_that_has_no_workers() -> None:
    with Cluster(record=False) as cluster:
        cluster.add(Server("first", pipelined=True))
        client = cluster.client("first", timeout=0.1)
        with pytest.raises(
            NoAnswer, match=r"worker of 'first', or the server itself.*answers= names"
        ):
            client.eval("first.echo", b"x")


def test_one_payload_is_not_several() -> None:
    with Cluster(record=False) as cluster:
        cluster.add(Master("server"))
        cluster.add(Worker("worker1"))
        with pytest.raises(NoAnswer, match="Only 1 payload was sent"):
            cluster.client().eval("server.echo", b"x", messages=2, timeout=0.2)


def test_no_worker_within_the_timeout_is_said_in_words() -> None:
    with Cluster() as cluster:
        cluster.add(Master("server"))
        client = cluster.client(timeout=0.2)
        with pytest.raises(NoAnswer, match=r"server.foo: 0 of 1 answers.*0.2 s.*worker.*'server'"):
            client.eval("server.foo", b"x")


def test_no_server_within_the_timeout_is_said_in_words() -> None:
    with pytest.raises(NoAnswer, match=r"tcp://127.0.0.1:1.*0.2 s.*[Ii]s the server running"):
        Client("server", "tcp://127.0.0.1:1", timeout=0.2)


def test_a_server_of_another_name_is_refused() -> None:
    server = Master("other")
    with server:
        address = server.bypass_components["Cache"].listen_to.address
        with pytest.raises(ValueError, match="is called 'other', not 'server'"):
            Client("server", address, timeout=5)


def test_a_closed_client_says_so() -> None:
    with Cluster() as cluster:
        cluster.add(Master("server"))
        client = cluster.client(timeout=5)
    with pytest.raises(RunError, match="client"):
        client.eval("server.foo", b"x")


@pytest.mark.parametrize("function", [[3], [], "", " ", ["server.echo", ""]])
def test_a_function_that_is_no_name_is_refused(function: object) -> None:
    with Cluster() as cluster:
        cluster.add(Master("server"))
        client = cluster.client(timeout=5)
        with pytest.raises(TypeError, match="function="):
            client.eval(function, b"x")  # type: ignore[arg-type]


def test_an_answer_to_an_earlier_call_is_dropped_by_name() -> None:
    with Cluster(seed=3) as cluster:
        cluster.add(Master("server"))
        cluster.add(Twice("worker1"))
        client = cluster.client()
        for position in range(8):
            asked = str(position).encode()
            assert client.eval("server.foo", asked) == asked
    drops: list[Event] = [event for event in cluster.trace.events if event.what == "drop"]
    assert drops
    assert {event.text for event in drops} <= {
        "it answers an earlier call, which has ended",
        "nobody is subscribed to its topic any more",
    }


def test_every_error_of_ours_can_be_caught_as_one() -> None:
    assert issubclass(PayloadError, LabError)
    assert issubclass(NoAnswer, TimeoutError)


def test_a_job_that_is_left_early_loses_nothing_in_silence() -> None:
    with Cluster() as cluster:
        cluster.add(Master("server"))
        cluster.add(Worker("worker1"))
        client = cluster.client(timeout=5)
        job = client.job("server.echo", [b"x"] * 500)
        assert next(job) == b"x"
        job.close()  # type: ignore[attr-defined]
    # Most were never answered, and it is told why of every one.
    assert {finding.name for finding in cluster.trace.check()} <= {"answers"}
    counted = counts(cluster.trace)
    assert counted["client", "server.Pull"].sent > 1
    # A SUB socket throws away what comes for a topic that it has left; nobody can see that.
    unread = {link for link, count in counted.items() if count.in_flight}
    assert unread <= {("server.Pub", "client")}


def test_a_message_that_had_to_wait_for_a_worker_is_still_itself() -> None:
    waits = threading.Event()

    class Waits(Hook):
        def actor_waiting(self, actor: str, ports: tuple[Port, ...], at: int) -> None:
            if any(port.socket == "PUSH" for port in ports):
                waits.set()

    with Cluster().attach(Waits()) as cluster:
        cluster.add(Master("server"))
        client = cluster.client(timeout=5)
        found: list[object] = []
        asks = threading.Thread(target=lambda: found.append(client.eval("server.echo", b"x")))
        asks.start()
        assert waits.wait(5)
        cluster.add(Worker("late"))
        asks.join(5)
    assert found == [b"x"]
    assert set(cluster.trace.numbers.values()) == {"1", "r1", "r2", "r3", "r4", "r5"}
    assert cluster.trace.check() == []


def test_calls_of_one_client_may_overlap() -> None:
    for seed in (None, 1):
        with Cluster(seed) as cluster:
            cluster.add(Master("server"))
            cluster.add(Worker("worker1"))
            client = cluster.client(timeout=5)
            outer = [str(n).encode() for n in range(5)]
            found = [
                (answer, client.eval("server.echo", b"inner " + answer))
                for answer in client.job("server.echo", outer, messages=5)
            ]
            assert found == [(text, b"inner " + text) for text in outer]
            pairs = zip(
                client.job("server.echo", outer, messages=5),
                client.job("server.echo", outer[::-1], messages=5),
                strict=True,
            )
            assert list(pairs) == list(zip(outer, outer[::-1], strict=True))
        assert cluster.trace.check() == []


def test_after_a_timeout_the_cache_can_be_asked_again() -> None:
    answer = threading.Event()

    class Slow(CacheService):
        def handle(self, data: bytes) -> bytes:
            if b"slow" in data:
                answer.wait(5)
            return super().handle(data)

    server = build_master()
    server.bypass_components.clear()
    server.register_bypass(Slow, "Cache")
    with Cluster() as cluster:
        cluster.add(server)
        client = cluster.client(timeout=0.3)
        with pytest.raises(NoAnswer, match=r"'slow': no answer within 0\.3 s"):
            client.get("slow")
        answer.set()
        assert client.get("name") == b"server"


def test_a_call_that_waits_in_another_thread_ends_with_the_cluster() -> None:
    found: list[str] = []
    waits = threading.Event()

    class Waits(Hook):
        def actor_waiting(self, actor: str, ports: tuple[Port, ...], at: int) -> None:
            if actor == "client" and ports[0].socket == "SUB":
                waits.set()

    with Cluster().attach(Waits()) as cluster:
        cluster.add(Master("server"))
        client = cluster.client()

        def call() -> None:
            with pytest.raises(RunError) as error:
                client.eval("server.echo", b"x")
            found.append(str(error.value))

        thread = threading.Thread(target=call)
        thread.start()
        assert waits.wait(5)
    thread.join(5)
    assert found == ["client was stopped while a call waited"]


def test_a_client_runs_nothing_by_itself() -> None:
    with Cluster() as cluster:
        cluster.add(Master("server"))
        client = cluster.client(timeout=5)
        with pytest.raises(RunError, match="call eval or job"):
            client.start()
        client.close()
        client.close()
        with pytest.raises(RunError, match="client is closed: make a new client"):
            client.eval("server.echo", b"x")
