"""Clusters with HTTP in them. They run free only."""

from __future__ import annotations

from pylm_lab.cluster import Cluster
from pylm_lab.parts.connections import HttpConnection
from pylm_lab.parts.gateways import GatewayDealer, GatewayRouter, HttpGateway
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    WorkerPullService,
    WorkerPushService,
)
from pylm_lab.remote.server import DebugServer, RequestHandler
from pylm_lab.scenarios.balanced import Greeter

__all__ = ["Answering", "build_gateway", "build_web_master", "gateway", "http"]


def build_gateway(name: str = "server") -> ServerTemplate:
    """A master that is asked over HTTP: a gateway in place of Pull and Pub."""
    server = ServerTemplate(name=name)
    server.register_inbound(GatewayRouter, route="WorkerPush")
    server.register_inbound(WorkerPullService, "WorkerPull", route="gateway_dealer")
    server.register_outbound(WorkerPushService, "WorkerPush")
    server.register_outbound(GatewayDealer)
    server.register_bypass(CacheService, "Cache")
    server.register_bypass(HttpGateway, port=0)
    return server


def gateway(cluster: Cluster, messages: int = 4, workers: int = 2) -> list[bytes]:
    """A master behind HTTP: a browser asks its gateway, and workers answer."""
    cluster.add(build_gateway())
    for position in range(1, workers + 1):
        cluster.add(Greeter(f"worker{position}", server="server"))
    browser = cluster.browser("server")
    return [browser.get("server.foo", b"a message") for _ in range(messages)]


class Answering(RequestHandler):
    """A web worker whose answers say who gave them."""

    def foo(self, payload: bytes) -> bytes:
        """Say who processed a message."""
        return self.id.encode() + b" processed " + payload


def build_web_master(url: str, name: str = "server") -> ServerTemplate:
    """A master whose one worker is a web server: what it answers goes on to Pub."""
    server = ServerTemplate(name=name)
    server.register_inbound(PullService, "Pull", route="Http")
    server.register_outbound(HttpConnection, "Http", url, route="Pub")
    server.register_outbound(PubService, "Pub")
    server.register_bypass(CacheService, "Cache")
    return server


def http(cluster: Cluster, messages: int = 4) -> list[bytes]:
    """A worker behind a web server: the router hands what it answers on to Pub."""
    worker = cluster.add(DebugServer("", 0, Answering, name="worker1"))
    cluster.add(build_web_master(worker.url))
    client = cluster.client("server")
    return list(client.job("server.foo", [b"a message"] * messages, messages=messages))
