"""Who is not recorded, beside others who are: what they took or brought is not called lost."""

from __future__ import annotations

import http.client
import threading

import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab.hook import Port
from pylm_lab.scenarios import get

PULL, PUSH = "server.Pull:listen_to", "server.WorkerPush:listen_to"


def test_what_an_unrecorded_client_asks_has_not_come_from_nowhere() -> None:
    build = Build().master(workers=1).run(1)
    build.run(2, since=PULL, until="server.Pub:broker")
    build.send("server.Pub:listen_to", b"somebody else", message(2))
    assert build.end().check() == []


def test_what_an_unrecorded_worker_took_is_not_lost() -> None:
    build = Build().master(workers=1).run(1)
    for id in (2, 3):
        build.run(id, until=PUSH)
    for id in (2, 3):
        build.run(id, since="server.WorkerPull:listen_to")
    assert build.end().check() == []


def test_but_what_never_comes_back_is() -> None:
    build = Build().master(workers=1).run(1)
    for id in (2, 3):
        build.run(id, until=PUSH)
    assert [
        f.sentence for f in build.run(2, since="server.WorkerPull:listen_to").end().check()
    ] == [
        "Message 3 was sent by WorkerPush and never received: it is lost between WorkerPush and"
        " worker1."
    ]


def test_what_comes_once_more_from_nowhere_is_named() -> None:
    build = Build().master(workers=1).run(1).run(1, since="server.WorkerPull:listen_to")
    assert "Message 1 was received by WorkerPull, but nobody has sent it there." in [
        finding.sentence for finding in build.end().check()
    ]


def test_without_ids_nobody_knows_whose_came() -> None:
    build = Build().link("a:push", "b:pull")
    build.receive("b:pull", message(payload=b"a stranger's"))
    build.send("a:push", message(payload=b"ours"))
    assert build.end().check() == []
    build = Build().link("a:push", "b:pull").send("a:push", message(payload=b"ours"))
    assert len(build.end().check()) == 1


def test_copies_that_two_workers_answer_have_not_overtaken_anything() -> None:
    """Nobody knows which of the two that arrive is whose."""
    build = Build().master(workers=2).run(5, until="worker1:pull").run(1, until=PUSH)
    build.receive("worker1:pull", message(1)).run(1, until=PUSH)
    build.receive("worker2:pull", message(1))
    for worker, id in (("worker1", 5), ("worker1", 1), ("worker2", 1)):
        build.send(f"{worker}:push", message(id))
    for id in (1, 5, 1):
        build.receive("server.WorkerPull:listen_to", message(id))
    assert build.trace.check(only="order") == []


@pytest.mark.parametrize("requests", [20])
def test_a_browser_may_share_its_gateway_with_whoever_else_speaks_http(requests: int) -> None:
    """In a real run, both at once."""
    here: list[str] = []
    bound = threading.Event()

    class Listening(lab.Hook):
        def port_bound(self, port: Port, address: str, at: int) -> None:
            if port.socket == "HTTP":
                here.append(address)
                bound.set()

    def others() -> None:
        assert bound.wait(10)
        for _ in range(requests):
            wire = http.client.HTTPConnection(here[0].partition("//")[2], timeout=10)
            wire.request("POST", "/server.foo", b"a message")
            assert wire.getresponse().read().endswith(b"processed a message")
            wire.close()

    made = get("gateway")
    thread = threading.Thread(target=others)
    with made.cluster(messages=requests) as cluster:
        cluster.attach(Listening())
        thread.start()
        made.play(cluster)
        thread.join(20)
        assert not thread.is_alive()
    trace = cluster.trace
    (gateway,) = [port.id for port in trace.ports if port.socket == "HTTP" and port.binds]
    came = [hop for hop in trace.hops if hop.received is not None]
    asked = [hop for hop in came if trace.events[hop.received or 0].port == gateway]
    assert len(asked) == requests + len([hop for hop in asked if hop.source])
    assert trace.check() == []
