"""Servers that deal messages to workers."""

from __future__ import annotations

import logging
from typing import Any

from pylm_lab.parts.servers import BaseMaster, ServerTemplate
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    WorkerPullService,
    WorkerPushService,
)
from pylm_lab.persistence.kv import DictDB

__all__ = ["Master"]


class Master(BaseMaster, ServerTemplate):
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
        self.name = name
        self.cache = DictDB() if cache is None else cache
        super().__init__(log_level, name=name, **options)
        self.pipelined = pipelined
        scatters = type(self).scatter is not BaseMaster.scatter
        gathers = type(self).gather is not BaseMaster.gather
        streams = type(self).handle_stream is not BaseMaster.handle_stream
        self.register_inbound(PullService, "Pull", pull_address, route="WorkerPush")
        self.register_inbound(WorkerPullService, "WorkerPull", worker_pull_address, route="Pub")
        self.register_outbound(WorkerPushService, "WorkerPush", worker_push_address)
        self.register_outbound(PubService, "Pub", pub_address, pipelined=pipelined, server=name)
        self.register_bypass(CacheService, "Cache", db_address)
        if scatters:
            self.inbound_components["Pull"].scatter = self.scatter  # type: ignore[method-assign]
        if gathers:
            self.outbound_components["Pub"].scatter = self.gather  # type: ignore[method-assign]
        if streams:
            pub: Any = self.outbound_components["Pub"]
            pub.handle_stream = self.handle_stream
