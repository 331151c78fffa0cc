"""Joining: what somebody who takes part has to find, and when it is there."""

from __future__ import annotations

import time

from pylm_lab.actor import Actor
from pylm_lab.errors import Deadlock, RunError, WiringError
from pylm_lab.parts.gateways import HttpGateway
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import CacheService
from pylm_lab.servers import Worker
from pylm_lab.waits import Waits

__all__ = ["cache_of", "gateway_of", "has_joined", "wait_for"]


def has_joined(actor: Actor) -> bool:
    """It has begun, and a worker is ready, and a part is known at what it is subscribed to; or it
    never will be.
    """
    if not actor.is_running or actor.gate is None:
        return True
    if isinstance(actor, Worker):
        return actor.is_ready.is_set()
    return actor.gate.has_started(actor)


def cache_of(server: ServerTemplate) -> CacheService:
    """The server's cache."""
    for part in server.parts_by_name.values():
        if isinstance(part, CacheService):
            return part
    raise WiringError(
        f"{server.name!r} has no cache service, so nobody can look up its addresses: "
        "register_bypass(CacheService, 'Cache')"
    )


def gateway_of(server: ServerTemplate) -> HttpGateway:
    """The server's gateway to the web."""
    for part in server.parts_by_name.values():
        if isinstance(part, HttpGateway):
            return part
    raise WiringError(
        f"{server.name!r} has no gateway, so nobody can ask it over HTTP: "
        "register_bypass(HttpGateway, port=0)"
    )


def wait_for(worker: Worker, server: ServerTemplate, timeout: float = 5.0) -> None:
    """Wait until the worker is connected; raise what has failed instead, it or its server."""
    until = time.monotonic() + timeout
    while not worker.is_ready.wait(0.05):
        if server.failure is not None:
            raise server.failure
        if worker.reason is not None:
            raise worker.reason
        if not worker.is_running and not worker.is_ready.is_set():
            raise RunError(f"{worker.id} was stopped before it was ready")
        if worker.gate is not None and worker.is_running:
            # It has had all the turns that it could have.
            waits = Waits(filter(None, [worker.waiting()]))
            raise Deadlock(f"{worker.id} can't begin to work: {waits}", waits)
        if time.monotonic() > until:
            raise RunError(f"{worker.id} is not ready after {timeout:g} s: {worker.db.address}")
