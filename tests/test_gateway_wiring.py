"""Gateways that are wired by hand: what is said of them, and where they meet unless it is."""

from __future__ import annotations

from typing import Any

import pytest
from test_gateway import ask, gateway_of

from pylm_lab.errors import WiringError
from pylm_lab.parts.gateways import GatewayDealer, GatewayRouter, HttpGateway
from pylm_lab.parts.http.gateway import MEETING
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.servers import Master

OTHER = "inproc://elsewhere"


def wired(
    router: str = "", dealer: str = "", gateway: str | None = "", name: str = "server"
) -> ServerTemplate:
    """A server that answers what it is asked, with those of these addresses that are told."""
    server = ServerTemplate(name=name)
    server.register_inbound(GatewayRouter, listen_address=router, route="gateway_dealer")
    server.register_outbound(GatewayDealer, listen_address=dealer)
    if gateway is not None:
        server.register_bypass(HttpGateway, listen_address=gateway, port=0)
    return server


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"gateway": MEETING},
        {"gateway": OTHER},
        {"dealer": MEETING},
        {"router": OTHER},
        {"router": MEETING, "dealer": MEETING, "gateway": MEETING},
    ],
    ids=str,
)
def test_parts_of_one_server_meet_wherever_one_of_them_is_told(told: dict[str, str]) -> None:
    with wired(**told) as server:
        assert ask(gateway_of(server).url, "/foo", b"x")[:2] == (200, b"x")


def test_a_gateway_outside_finds_the_router_at_the_documented_address() -> None:
    server = wired(gateway=None)
    with server, HttpGateway(port=0) as gateway:
        assert server.inbound_components["gateway_router"].listen_to.address == MEETING
        assert ask(gateway.url, "/foo", b"x")[:2] == (200, b"x")


def test_two_servers_without_addresses_do_not_collide() -> None:
    with wired() as one, wired() as other:
        for server in (one, other):
            assert ask(gateway_of(server).url, "/foo", b"x")[:2] == (200, b"x")


def lonely(*parts: type[Any]) -> ServerTemplate:
    """A server with these parts alone, none of which is told anything."""
    server = ServerTemplate(name="server")
    for part in parts:
        if part is GatewayRouter:
            server.register_inbound(part)
        elif part is GatewayDealer:
            server.register_outbound(part)
        else:
            server.register_bypass(part, port=0)
    return server


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (lonely(GatewayRouter, HttpGateway), r"server\.gateway_router could hand back no answer"),
        (lonely(HttpGateway), r"server\.HttpGateway finds no gateway_router: register it"),
        (lonely(GatewayDealer), r"server\.gateway_dealer finds no gateway_router: register it"),
        (lonely(GatewayRouter, GatewayDealer), r"server\.gateway_router hands .* to nobody"),
        (wired(router=MEETING, gateway=OTHER), "HttpGateway looks for gateway_router at"),
        (wired(dealer=MEETING, gateway=OTHER), "looks for gateway_router at .*elsewhere"),
    ],
)
def test_a_gateway_that_is_wired_by_half_is_one_error_at_the_start(
    server: ServerTemplate, told: str
) -> None:
    with pytest.raises(WiringError, match=told):
        server.launch()


def test_a_dealer_that_nothing_is_routed_to_is_an_error_at_the_start() -> None:
    server = Master("server")
    server.register_inbound(GatewayRouter, route="WorkerPush")
    server.register_outbound(GatewayDealer)
    with pytest.raises(WiringError, match=r"gateway_dealer gets nothing .*route='gateway_dealer'"):
        server.launch()
