"""Servers that work themselves: they run their own methods, and need no workers."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pylm_lab.actor import Run
from pylm_lab.errors import WiringError
from pylm_lab.functions import Functions
from pylm_lab.loop import Wait
from pylm_lab.parts.connections import SubConnection
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.part import take_over
from pylm_lab.parts.servers import ServerTemplate, replaced
from pylm_lab.parts.services import CacheService, PubService, PullService
from pylm_lab.persistence.kv import DictDB
from pylm_lab.schedule import Gate

__all__ = ["FunctionServer", "Pipeline", "Server", "Sink"]

Stream = Callable[[PalmMessage], tuple[str, PalmMessage]]


class FunctionServer(Functions, ServerTemplate, machinery=True):
    """What they have in common: a message comes in, `name.foo` calls `foo(payload)`, Pub publishes.

    The function runs in the Pub part, in one thread whatever comes from where. It is run only if
    the name before the dot is the server's. One that fails, or that is not there, answers `b'0'`
    with the field `error`. `self.message` is the message at hand, `self.cache` the server's cache.
    """

    gate: Gate | None = None

    def __init__(
        self,
        name: str,
        log_level: int,
        messages: int,
        cache: DictDB | None,
        handle_stream: Stream | None,
        **options: Any,
    ) -> None:
        self.name = name
        self.cache = DictDB() if cache is None else cache
        take_over(self, {"handle_stream": handle_stream}, ("handle_stream",))
        super().__init__(log_level, messages, name=name, **options)

    def _publish_at(
        self,
        pub_address: str,
        db_address: str,
        pipelined: bool,
        subscribers: int | Mapping[str, int] | None,
    ) -> None:
        self.pipelined = pipelined
        self.register_outbound(
            PubService,
            "Pub",
            pub_address,
            pipelined=pipelined,
            server=self.name,
            subscribers=subscribers,
            scatter=self._work,
            handle_stream=replaced(self, "handle_stream", FunctionServer),
        )
        self.register_bypass(CacheService, "Cache", db_address)

    def _work(self, message: PalmMessage) -> Iterable[PalmMessage]:
        """What comes of a message."""
        return self.answers(message, self.name)

    def handle_stream(self, message: PalmMessage) -> tuple[str, PalmMessage]:
        """Override it, or pass it, to say under which topic a result is published, and as what."""
        pub = self.outbound_components["Pub"]
        assert isinstance(pub, PubService)
        return PubService.handle_stream(pub, message)

    def enter(self, run: Run) -> None:
        super().enter(run)
        self.gate = run.gate

    def waiting(self) -> list[Wait]:
        """Who of its actors waits; also Pub for a function to return."""
        pub = self.outbound_components["Pub"].id
        # Asked first: what begins meanwhile is no second wait of Pub.
        works = self.working(pub)
        found = super().waiting()
        if works is None or any(wait.actor == pub for wait in found):
            return found
        return [*found, works]


class Server(FunctionServer, machinery=True):
    """A server that runs its own methods, as `server.foo` calls `foo(payload)`, for its clients.

    A router, two service parts and a cache: Pull → Pub, where the functions run, and Cache beside.

    Args:
        name: the server's name, which clients name too.
        db_address: the cache's.
        pull_address: where clients push.
        pub_address: where clients subscribe.
        pipelined: publish under the server's name, for the next server, instead of the client's.
        log_level: of the server's logger.
        messages: end after that many messages.
        cache: where values are kept; a new one if None.
        handle_stream: a function in place of the method.
        subscribers: how many servers come next; see `PubService`. A cluster finds out by itself.
        window, lockstep, hold, context: see `ServerTemplate`.

    Addresses that are not given are free tcp ports of this machine, or, in a cluster, fresh inproc
    addresses.
    """

    def __init__(
        self,
        name: str,
        db_address: str = "",
        pull_address: str = "",
        pub_address: str = "",
        pipelined: bool = False,
        log_level: int = logging.INFO,
        messages: int = sys.maxsize,
        *,
        cache: DictDB | None = None,
        handle_stream: Stream | None = None,
        subscribers: int | Mapping[str, int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, log_level, messages, cache, handle_stream, **options)
        self.register_inbound(PullService, "Pull", pull_address, route="Pub")
        self._publish_at(pub_address, db_address, pipelined, subscribers)

    def start(self, cache_messages: int = sys.maxsize) -> bytes:
        """Run until ended; as `ServerTemplate.start`.

        Args:
            cache_messages: the cache ends after that many requests.
        """
        self.bypass_components["Cache"].limit(cache_messages)
        return super().start()


class Pipeline(FunctionServer, machinery=True):
    """A server that is fed by the one before it: Sub → Pub, where the functions run, and Cache.

    Args:
        name: the server's name.
        db_address: the cache's.
        sub_address: where the server before publishes.
        pub_address: where it publishes itself.
        previous: the topic, which is the name of the server before; in a cluster that is enough.
        to_client: publish under the client's id; else under the server's name, for the next one.
        log_level: of the server's logger.
        messages: end after that many messages.
        upstream: the server before, by its name in the same cluster, in place of `sub_address` and
            `previous`.
        cache, handle_stream, subscribers, window, lockstep, hold, context: see `Server`.

    A method that returns None sends nothing on.
    """

    _drops_none = True

    def __init__(
        self,
        name: str,
        db_address: str = "",
        sub_address: str = "",
        pub_address: str = "",
        previous: str = "",
        to_client: bool = True,
        log_level: int = logging.INFO,
        messages: int = sys.maxsize,
        *,
        upstream: str = "",
        cache: DictDB | None = None,
        handle_stream: Stream | None = None,
        subscribers: int | Mapping[str, int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, log_level, messages, cache, handle_stream, **options)
        self.register_inbound(
            SubConnection, "Sub", sub_address, route="Pub", previous=previous, upstream=upstream
        )
        self._publish_at(pub_address, db_address, not to_client, subscribers)


class Sink(FunctionServer, machinery=True):
    """A server that joins the streams of several: Sub1, Sub2, … → Pub, where the functions run.

    Args:
        name: the server's name.
        db_address: the cache's.
        sub_addresses: where the servers before publish.
        pub_address: where it publishes itself.
        previous: the topics, one for each of the addresses; see `Pipeline`.
        to_client, log_level, messages: see `Pipeline`.
        upstream: the servers before, by their names in the same cluster, in place of
            `sub_addresses` and, unless they are told, `previous`.
        cache, handle_stream, subscribers, window, lockstep, hold, context: see `Server`.

    A method that returns None sends nothing on.

    Raises:
        WiringError: the lists are not of one length.
    """

    _drops_none = True

    def __init__(
        self,
        name: str,
        db_address: str = "",
        sub_addresses: Sequence[str] = (),
        pub_address: str = "",
        previous: Sequence[str] = (),
        to_client: bool = True,
        log_level: int = logging.INFO,
        messages: int = sys.maxsize,
        *,
        upstream: Sequence[str] = (),
        cache: DictDB | None = None,
        handle_stream: Stream | None = None,
        subscribers: int | Mapping[str, int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, log_level, messages, cache, handle_stream, **options)
        lists = {"sub_addresses": sub_addresses, "previous": previous, "upstream": upstream}
        for position, one in enumerate(_zipped(name, lists), 1):
            address, topic, before = one
            self.register_inbound(
                SubConnection,
                f"Sub{position}",
                address,
                route="Pub",
                previous=topic,
                upstream=before,
            )
        self._publish_at(pub_address, db_address, not to_client, subscribers)


def _zipped(name: str, lists: dict[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """One of each list at a time; one that is not given counts as empty texts."""
    for key, value in lists.items():
        if isinstance(value, str):
            raise WiringError(f"{name!r}: {key}={value!r} is one text: give a list, one a stream")
    lengths = {key: len(value) for key, value in lists.items() if value}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{count} {key}" for key, count in lengths.items())
        raise WiringError(f"{name!r} needs one of each for each stream that it joins, not {told}")
    if not lengths:
        raise WiringError(f"{name!r} joins nothing: give sub_addresses and previous, or upstream")
    most = max(lengths.values())
    return list(zip(*(value or [""] * most for value in lists.values()), strict=True))
