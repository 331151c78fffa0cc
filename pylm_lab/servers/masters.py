"""Servers that deal messages to workers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pylm_lab.parts.connections import SubConnection
from pylm_lab.parts.core import Inbound
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.part import take_over
from pylm_lab.parts.servers import BaseMaster, ServerTemplate, replaced
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    WorkerPullService,
    WorkerPushService,
)
from pylm_lab.persistence.kv import DictDB

__all__ = ["Balancer", "Hub", "Master"]

Several = Callable[[PalmMessage], Iterable[PalmMessage] | None]
Stream = Callable[[PalmMessage], tuple[str, PalmMessage]]


class Balancer(BaseMaster, ServerTemplate):
    """What a master and a hub have in common: all but where their messages come from.

    `first` is the class and the name of the part for that, and what it is given.
    """

    def __init__(
        self,
        name: str,
        first: tuple[type[Inbound], str, dict[str, Any]],
        pub_address: str,
        worker_pull_address: str,
        worker_push_address: str,
        db_address: str,
        pipelined: bool,
        cache: DictDB | None,
        log_level: int,
        *,
        scatter: Several | None = None,
        gather: Several | None = None,
        handle_stream: Stream | None = None,
        subscribers: int | Mapping[str, int] | None = None,
        **options: Any,
    ) -> None:
        self.name = name
        self.cache = DictDB() if cache is None else cache
        self.pipelined = pipelined
        passed = {"scatter": scatter, "gather": gather, "handle_stream": handle_stream}
        take_over(self, passed, tuple(passed))
        super().__init__(log_level, name=name, **options)
        part, called, more = first
        self.register_inbound(
            part,
            called,
            route="WorkerPush",
            scatter=replaced(self, "scatter", BaseMaster),
            **more,
        )
        self.register_inbound(WorkerPullService, "WorkerPull", worker_pull_address, route="Pub")
        self.register_outbound(WorkerPushService, "WorkerPush", worker_push_address)
        self.register_outbound(
            PubService,
            "Pub",
            pub_address,
            pipelined=pipelined,
            server=name,
            subscribers=subscribers,
            scatter=replaced(self, "gather", BaseMaster),
            handle_stream=replaced(self, "handle_stream", BaseMaster),
        )
        self.register_bypass(CacheService, "Cache", db_address)


class Master(Balancer):
    """A server that deals a client's messages to workers and publishes what they answer.

    A router, four service parts and a cache: Pull → WorkerPush, WorkerPull → Pub, and Cache beside.

    Args:
        name: the server's name, which clients name too.
        pull_address: where clients push.
        pub_address: where clients subscribe.
        worker_pull_address: where workers push their results.
        worker_push_address: where workers pull.
        db_address: the cache's.
        pipelined: publish under the server's name, for the next server, instead of the client's.
        cache: where values are kept; a new one if None.
        log_level: of the server's logger.
        scatter, gather, handle_stream: functions in place of the methods.
        subscribers: how many servers come next; see `PubService`. A cluster finds out by itself.
        window, lockstep, hold, context: see `ServerTemplate`.

    Addresses that are not given are free tcp ports of this machine, or, in a cluster, fresh inproc
    addresses.
    """

    def __init__(
        self,
        name: str,
        pull_address: str = "",
        pub_address: str = "",
        worker_pull_address: str = "",
        worker_push_address: str = "",
        db_address: str = "",
        pipelined: bool = False,
        cache: DictDB | None = None,
        log_level: int = logging.INFO,
        **options: Any,
    ) -> None:
        super().__init__(
            name,
            (PullService, "Pull", {"listen_address": pull_address}),
            pub_address,
            worker_pull_address,
            worker_push_address,
            db_address,
            pipelined,
            cache,
            log_level,
            **options,
        )


class Hub(Balancer):
    """A master in the middle of a pipeline: it is fed by the server before it, instead of clients.

    Its parts are those of a master, but for the first: Sub → WorkerPush, WorkerPull → Pub, Cache.

    Args:
        name: the server's name.
        sub_address: where the server before publishes.
        pub_address, worker_pull_address, worker_push_address, db_address: see `Master`.
        previous: the topic, which is the name of the server before; in a cluster that is enough.
        pipelined, cache, log_level: see `Master`.
        upstream: the server before, by its name in the same cluster, in place of `sub_address` and
            `previous`.
        scatter, gather, handle_stream, subscribers, window, lockstep, hold, context: see `Master`.
    """

    def __init__(
        self,
        name: str,
        sub_address: str = "",
        pub_address: str = "",
        worker_pull_address: str = "",
        worker_push_address: str = "",
        db_address: str = "",
        previous: str = "",
        pipelined: bool = False,
        cache: DictDB | None = None,
        log_level: int = logging.INFO,
        *,
        upstream: str = "",
        **options: Any,
    ) -> None:
        told = {"listen_address": sub_address, "previous": previous, "upstream": upstream}
        super().__init__(
            name,
            (SubConnection, "Sub", told),
            pub_address,
            worker_pull_address,
            worker_push_address,
            db_address,
            pipelined,
            cache,
            log_level,
            **options,
        )
