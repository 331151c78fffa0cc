"""Visitors: those who speak HTTP with a server of a cluster, from outside of it."""

from __future__ import annotations

import time
from typing import Any

import zmq

from pylm_lab.actor import Run
from pylm_lab.errors import RunError
from pylm_lab.parts.gateways import HttpGateway
from pylm_lab.remote.browser import Browser
from pylm_lab.remote.server import DebugServer

__all__ = ["Visitors"]


class Visitors(list[DebugServer | Browser]):
    """Web workers and web clients, in the order in which they came."""

    def add(self, worker: DebugServer, id: str, run: Run) -> None:
        """Start a web worker: others need its URL, which it has from then on.

        Raises:
            RunError: it is open.
            WiringError: the run is controlled, and HTTP runs free only.
        """
        if worker.is_open:
            raise RunError(f"{worker.name!r} is open already: add it before it starts, and once")
        worker.id = id
        run.context = run.context or zmq.Context()
        worker.enter(run)
        worker.launch()
        self.append(worker)

    def browser(
        self, gateway: HttpGateway, name: str, run: Run, options: dict[str, Any]
    ) -> Browser:
        """A web client of the gateway."""
        browser = Browser(gateway.url, name=name, server=gateway.server, run=run, **options)
        self.append(browser)
        return browser

    def end_calls(self) -> None:
        """End the calls of web clients."""
        for visitor in self:
            if isinstance(visitor, Browser):
                visitor.stop()

    def end(self, until: float) -> None:
        """End them all; who has not ended by then is left to itself."""
        for visitor in self:
            visitor.stop()
        for visitor in self:
            visitor.join(max(0.05, until - time.monotonic()))
            visitor.abandoned = visitor.is_running
            if isinstance(visitor, Browser):
                visitor.close(linger=0)
            elif not visitor.is_running:
                visitor.cleanup(linger=0)
            else:
                visitor.http.shut()  # whatever its function does, nobody asks any more
