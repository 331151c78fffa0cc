"""On the wire: bare sockets, and bytes written from the table, in place of each of our programs."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from foreign import Peers, chunk, decode, encode, number, varint

from pylm_lab.clients import Client
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.servers import Hub, Master, Pipeline, Server, Sink, Worker

#: Fields that no peer of ours knows, of every wire type.
UNKNOWN = (
    number(77, 300)
    + chunk(1000, b"from later")
    + varint(2000 << 3 | 1)
    + b"8 bytes."
    + varint(3000 << 3 | 5)
    + b"four"
)
DOCUMENTED = {1, 2, 3, 4, 5, 6}


class Turning:
    """What ours do."""

    def turn(self, payload: bytes) -> bytes:
        """Return the payload backwards."""
        return payload[::-1]


class Shop(Turning, Worker):
    """A worker of ours."""


class ShopServer(Turning, Server):
    """A server of ours that works itself."""


class ShopPipeline(Turning, Pipeline):
    """One that is fed."""


class ShopSink(Turning, Sink):
    """One that is fed by several."""


@pytest.fixture
def peers() -> Iterator[Peers]:
    with Peers() as peers:
        yield peers


@pytest.fixture
def run() -> Iterator[Callable[..., Any]]:
    """Launch a server or a worker of ours; it ends with the test."""
    running: list[Any] = []

    def launch(actor: Any) -> Any:
        running.append(actor)
        actor.__enter__()
        return actor

    yield launch
    for actor in reversed(running):
        actor.__exit__(None, None, None)


def cache_of(server: ServerTemplate) -> str:
    """The one address that a peer is told beforehand."""
    return server.bypass_components["Cache"].listen_to.address


def shop(server: ServerTemplate) -> Shop:
    return Shop("worker", db_address=cache_of(server))


MASTER = ("pull_address", "pub_address", "worker_push_address", "worker_pull_address")


# A client


def test_a_bare_client_gets_its_answer_and_nothing_but_the_documented_fields(
    peers: Peers, run: Callable[..., Any]
) -> None:
    master = run(Master("server"))
    run(shop(master))
    pull, pub = peers.find(cache_of(master), *MASTER[:2])
    sub = peers.connect(zmq.SUB, pub, [b"me"])
    asked = encode(pipeline="p", client="me", function="server.turn", cache="k", payload=b"abc")
    peers.connect(zmq.PUSH, pull).send(asked)
    topic, answer = sub.recv_multipart()
    assert topic == b"me"
    assert decode(answer) == {1: b"p", 2: b"me", 4: b"server.turn", 5: b"k", 6: b"cba"}


def test_a_message_without_an_id_gets_one_in_its_cache_field(
    peers: Peers, run: Callable[..., Any]
) -> None:
    master = run(Master("server"))
    run(shop(master))
    pull, pub = peers.find(cache_of(master), *MASTER[:2])
    sub = peers.connect(zmq.SUB, pub, [b"me"])
    peers.connect(zmq.PUSH, pull).send(encode(client="me", function="server.turn", payload=b"abc"))
    answer = decode(sub.recv_multipart()[1])
    assert set(answer) == {2, 4, 5, 6}
    assert answer[5]


def test_who_subscribes_200_ms_after_it_sent_still_gets_its_first_answer(
    peers: Peers, run: Callable[..., Any]
) -> None:
    master = run(Master("server"))
    run(shop(master))
    pull, pub = peers.find(cache_of(master), *MASTER[:2])
    peers.connect(zmq.PUSH, pull).send(encode(client="me", function="server.turn", payload=b"abc"))
    threading.Event().wait(0.2)  # the lateness that is tested
    sub = peers.connect(zmq.SUB, pub, [b"me"])
    assert decode(sub.recv_multipart()[1])[6] == b"cba"


def test_ids_that_begin_alike_never_mix(peers: Peers, run: Callable[..., Any]) -> None:
    master = run(Master("server"))
    run(shop(master))
    pull, pub = peers.find(cache_of(master), *MASTER[:2])
    push = peers.connect(zmq.PUSH, pull)
    # A SUB takes whatever begins alike: who compares the whole topic finds his own.
    names = ["client1", "client10", "client"]
    subs = {name: peers.connect(zmq.SUB, pub, [name.encode()]) for name in names}
    for n in range(20):
        for name in names:
            push.send(encode(client=name, function="server.echo", payload=f"{name} {n}".encode()))
    for name, sub in subs.items():
        own: list[bytes] = []
        while len(own) < 20:
            topic, data = sub.recv_multipart()
            answer = decode(data)
            assert topic == answer[2]
            if topic == name.encode():
                own.append(answer[6])
        assert own == [f"{name} {n}".encode() for n in range(20)]


def test_our_client_leaves_alone_what_is_for_an_id_that_begins_like_its_own(
    peers: Peers,
) -> None:
    with ForeignMaster(peers) as master, Client("old", master.db, timeout=5) as client:
        master.also = lambda asked: [client.uuid + "0", client.uuid]
        assert client.eval("old.echo", b"mine") == b"mine " + client.uuid.encode()


# A worker


def test_a_bare_worker_is_dealt_messages_as_they_were_sent(
    peers: Peers, run: Callable[..., Any]
) -> None:
    master = run(Master("server"))
    pull, pub, works, results = peers.find(cache_of(master), *MASTER)
    worker = peers.connect(zmq.PULL, works)
    sub = peers.connect(zmq.SUB, pub, [b"me"])
    asked = encode(pipeline="p", client="me", function="server.foo", cache="k", payload=b"\0\xff")
    peers.connect(zmq.PUSH, pull).send(asked)
    assert worker.recv_multipart() == [asked]
    done = encode(pipeline="p", client="me", function="server.foo", cache="k", payload=b"done")
    peers.connect(zmq.PUSH, results).send(done)
    assert sub.recv_multipart() == [b"me", done]


def test_fields_that_nobody_knows_come_back_in_their_bytes(
    peers: Peers, run: Callable[..., Any]
) -> None:
    master = run(Master("server"))
    run(shop(master))
    pull, pub = peers.find(cache_of(master), *MASTER[:2])
    sub = peers.connect(zmq.SUB, pub, [b"me"])
    known = encode(client="me", function="server.turn", cache="k", payload=b"abc")
    peers.connect(zmq.PUSH, pull).send(known + UNKNOWN)
    answer = sub.recv_multipart()[1]
    assert (
        answer == encode(client="me", function="server.turn", cache="k", payload=b"cba") + UNKNOWN
    )


def test_our_worker_speaks_the_table_alone_with_a_bare_master(
    peers: Peers, run: Callable[..., Any]
) -> None:
    with ForeignMaster(peers) as master:
        run(Shop("worker", db_address=master.db))
        asked = encode(client="me", function="old.turn", cache="k", payload=b"abc")
        master.deal(asked + UNKNOWN)
        done = encode(client="me", function="old.turn", cache="k", payload=b"cba")
        assert master.results.get() == done + UNKNOWN


# A user of the cache


def test_a_bare_user_of_the_cache_sets_gets_and_deletes(
    peers: Peers, run: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    db = cache_of(run(Master("server")))

    def ask(function: str, **fields: Any) -> bytes:
        return peers.request(db, encode(function=function, **fields))

    with caplog.at_level(logging.INFO, "pylm_lab"):
        assert ask("server.set", cache="one", payload=b"\0value") == b"one"
        assert ask("anybody.get", payload=b"one") == b"\0value"
        key = ask("server.set", payload=b"nameless")
        other = ask("server.set", payload=b"nameless too")
        assert ask("server.get", payload=key) == b"nameless"
        assert key != other
        assert ask("server.delete", payload=b"one") == b"one"
        assert ask("server.get", payload=b"one") == b""
        assert caplog.records == []
        assert ask("server.delete", payload=b"one") == b""
        assert ask("server.rename", payload=b"one") == b""
        assert len(caplog.records) == 2
    assert ask("server.get", payload=b"name") == b"server"


# Those before and after in a pipeline


def test_who_follows_a_pipelined_server_subscribes_to_its_name(
    peers: Peers, run: Callable[..., Any]
) -> None:
    master = run(Master("first", pipelined=True))
    run(shop(master))
    pull, pub = peers.find(cache_of(master), *MASTER[:2])
    sub = peers.connect(zmq.SUB, pub, [b"first"])
    both = "first.turn second.turn"
    asked = encode(pipeline="p", client="me", function=both, cache="k", payload=b"abc")
    peers.connect(zmq.PUSH, pull).send(asked + UNKNOWN)
    topic, handed_on = sub.recv_multipart()
    assert topic == b"first"
    after = encode(pipeline="p", client="me", stage=1, function=both, cache="k", payload=b"cba")
    assert handed_on == after + UNKNOWN


@pytest.mark.parametrize("kind", ["pipeline", "sink", "hub"])
def test_a_bare_publisher_feeds_our_servers(
    peers: Peers, run: Callable[..., Any], kind: str
) -> None:
    pub, address = peers.bind(zmq.XPUB)  # to know when it has been asked; it echoes nothing
    made: dict[str, Callable[[], ServerTemplate]] = {
        "pipeline": lambda: ShopPipeline("second", sub_address=address, previous="first"),
        "sink": lambda: ShopSink("second", sub_addresses=[address], previous=["first"]),
        "hub": lambda: Hub("second", sub_address=address, previous="first"),
    }
    server = run(made[kind]())
    if kind == "hub":
        run(shop(server))
    assert pub.recv() == b"\1first"
    sub = peers.connect(zmq.SUB, peers.find(cache_of(server), "pub_address")[0], [b"me"])
    asked = encode(stage=1, client="me", function="first.foo second.turn", cache="k", payload=b"a1")
    other = encode(stage=1, client="me", function="first.foo second.turn", cache="k", payload=b"no")
    pub.send_multipart([b"first1", other + UNKNOWN])  # not its topic, which begins alike
    pub.send_multipart([b"first", asked + UNKNOWN])
    topic, answer = sub.recv_multipart()
    assert topic == b"me"
    after = encode(stage=1, client="me", function="first.foo second.turn", cache="k", payload=b"1a")
    assert answer == after + UNKNOWN


def test_a_plain_pub_will_do_as_well(peers: Peers, run: Callable[..., Any]) -> None:
    pub, address = peers.bind(zmq.PUB)
    server = run(ShopPipeline("second", sub_address=address, previous="first", to_client=False))
    sub = peers.connect(zmq.SUB, peers.find(cache_of(server), "pub_address")[0], [b"second"])
    sub.rcvtimeo = 50
    asked = encode(client="me", function="second.turn third.foo", cache="k", payload=b"a1")
    handed_on: list[bytes] = []
    for _ in range(100):  # a PUB can't tell whether anybody has subscribed yet
        pub.send_multipart([b"first", asked])
        if sub.poll(50):
            handed_on = sub.recv_multipart()
            break
    after = encode(stage=1, client="me", function="second.turn third.foo", cache="k", payload=b"1a")
    assert handed_on == [b"second", after]


@pytest.mark.parametrize("pipelined", [False, True])
def test_a_server_that_works_itself_publishes_for_its_client_or_the_next(
    peers: Peers, run: Callable[..., Any], pipelined: bool
) -> None:
    server = run(ShopServer("server", pipelined=pipelined))
    pull, pub = peers.find(cache_of(server), *MASTER[:2])
    topic = b"server" if pipelined else b"me"
    sub = peers.connect(zmq.SUB, pub, [topic])
    asked = encode(pipeline="p", client="me", function="server.turn", cache="k", payload=b"abc")
    peers.connect(zmq.PUSH, pull).send(asked + UNKNOWN)
    stage = 1 if pipelined else 0
    after = encode(
        pipeline="p", client="me", stage=stage, function="server.turn", cache="k", payload=b"cba"
    )
    assert sub.recv_multipart() == [topic, after + UNKNOWN]


def test_a_failed_call_answers_a_zero_and_its_reason_in_one_more_field(
    peers: Peers, run: Callable[..., Any]
) -> None:
    server = run(ShopServer("server"))
    pull, pub = peers.find(cache_of(server), *MASTER[:2])
    sub = peers.connect(zmq.SUB, pub, [b"me"])
    asked = encode(client="me", function="server.absent", cache="k", payload=b"abc")
    peers.connect(zmq.PUSH, pull).send(asked)
    answer = decode(sub.recv_multipart()[1])
    assert set(answer) == {2, 4, 5, 6, 536870910}
    assert answer[6] == b"0"
    assert decode(answer[536870910])[2] == b"server.absent"


# A master


class ForeignMaster:
    """A master made of bare sockets, in a thread: it answers by itself, and echoes nothing.

    `deal` is for a worker, whose `results` it keeps.
    """

    def __init__(self, peers: Peers) -> None:
        self.results: queue.Queue[bytes] = queue.Queue()
        self._works: queue.Queue[bytes] = queue.Queue()
        #: The topics of the answers to a message.
        self.also: Callable[[dict[int, Any]], list[str]] = lambda asked: [asked[2].decode()]
        self._sockets = {}
        cache = {b"name": b"old"}
        for kind, key in (
            (zmq.PULL, b"pull_address"),
            (zmq.PUSH, b"worker_push_address"),
            (zmq.PULL, b"worker_pull_address"),
            (zmq.PUB, b"pub_address"),
            (zmq.REP, b"db"),
        ):
            self._sockets[key], address = peers.bind(kind)
            cache[key] = address.encode()
        self.db = cache[b"db"].decode()
        self._cache = cache
        self._peers = peers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def deal(self, data: bytes) -> None:
        self._works.put(data)

    def _run(self) -> None:
        take = {key: self._sockets[key] for key in (b"pull_address", b"worker_pull_address", b"db")}
        poller = zmq.Poller()
        for socket in take.values():
            poller.register(socket, zmq.POLLIN)
        while not self._over.is_set():
            while not self._works.empty():
                self._sockets[b"worker_push_address"].send(self._works.get())
            ready = dict(poller.poll(20))
            if take[b"db"] in ready:
                asked = decode(take[b"db"].recv())
                assert asked[4].endswith(b".get")
                take[b"db"].send(self._cache.get(asked[6], b""))
            if take[b"worker_pull_address"] in ready:
                self.results.put(take[b"worker_pull_address"].recv())
            if take[b"pull_address"] in ready:
                self._publish(take[b"pull_address"].recv())

    def _publish(self, data: bytes) -> None:
        asked = decode(data)
        assert set(asked) <= DOCUMENTED
        for topic in self.also(asked):
            payload = asked[6] + b" " + topic.encode()
            after = encode(
                **{name: asked[n].decode() for n, name in ((1, "pipeline"), (4, "function"))},
                client=topic,
                cache=asked[5].decode(),
                payload=payload,
            )
            self._sockets[b"pub_address"].send_multipart([topic.encode(), after])

    def __enter__(self) -> ForeignMaster:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5)


def test_our_client_finds_its_way_with_a_bare_master_that_echoes_nothing(peers: Peers) -> None:
    with ForeignMaster(peers) as master, Client("old", master.db, timeout=5) as client:
        answers = list(client.job("old.echo", [b"%d" % n for n in range(100)], messages=100))
        assert answers == [b"%d %s" % (n, client.uuid.encode()) for n in range(100)]
