"""The four classifications: what the catalog says is what the parts do, and what is documented.

The documented tables stand here as they are documented; the catalog is read from the classes.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

import pylm_lab as lab
from pylm_lab.cli import main
from pylm_lab.hook import Hook, Port
from pylm_lab.parts import catalog
from pylm_lab.parts.classified import MODULES, Classified
from pylm_lab.parts.core import BypassInbound, BypassOutbound, Inbound, Outbound, Part
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.persistence.kv import DictDB

# ---------------------------------------------------------------------------------- what it says

#: As documented: class, base, socket, blocks.
DOCUMENTED = """
services RepService Inbound REP binds blocks
services PullService Inbound PULL binds -
services PushService Outbound PUSH binds -
services PubService Outbound PUB binds -
services WorkerPullService PullService PULL binds -
services WorkerPushService PushService PUSH binds -
services PushPullService Outbound PUSH+PULL binds blocks
services RepBypassService BypassInbound REP binds blocks
services CacheService RepBypassService REP binds blocks
services HttpService Inbound HTTP binds blocks
connections RepConnection Inbound REP connects blocks
connections SubConnection Inbound SUB connects -
connections PullConnection Inbound PULL connects -
connections PushConnection Outbound PUSH connects -
connections PullBypassConnection BypassInbound PULL connects -
connections PushBypassConnection BypassOutbound PUSH connects -
connections HttpConnection Outbound HTTP connects blocks
gateways GatewayRouter Inbound ROUTER binds ?
gateways GatewayDealer Outbound DEALER connects -
gateways HttpGateway ? HTTP binds blocks
"""
ROWS = {line.split()[1]: line.split() for line in DOCUMENTED.strip().splitlines()}


@pytest.mark.parametrize("one", catalog(), ids=lambda one: one.name)
def test_a_part_is_what_is_documented_of_it(one: Classified) -> None:
    module, _, base, socket, binds, blocks = ROWS[one.name]
    assert one.module == f"pylm_lab.parts.{module}"
    assert base in (one.base, "?")
    assert one.socket.replace(" ", "").startswith(socket)
    assert one.binds is (binds == "binds")
    assert blocks == "?" or one.blocking is (blocks == "blocks")
    # It says it in its name, but for the two that serve without the word.
    side = "Bypass" in one.name or one.name in ("CacheService", "HttpGateway")
    assert one.bypass is side
    assert one.binds is not one.name.endswith(("Connection", "Dealer"))
    assert one.summary.endswith(".")


def test_the_catalog_has_every_part_that_a_documented_module_exports() -> None:
    listed = {(one.module, one.name) for one in catalog()}
    exported = {
        (module.__name__, name)
        for module in MODULES
        for name in module.__all__
        if issubclass(getattr(module, name), Part)
    }
    assert listed == exported
    assert {module.__name__.rpartition(".")[2] for module in MODULES} >= {"services", "connections"}


def test_the_catalog_is_the_same_each_time_and_can_not_be_changed() -> None:
    assert lab.parts.catalog() == catalog()
    places = [(one.module, one.bypass, one.direction, one.name) for one in catalog()]
    modules = [module.__name__ for module in MODULES]
    assert places == sorted(places, key=lambda place: (modules.index(place[0]), *place[1:]))
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalog()[0].name = "Other"  # type: ignore[misc]


def test_it_is_loaded_when_it_is_asked_for() -> None:
    code = "import pylm_lab.parts.core, sys; assert 'pylm_lab.parts.services' not in sys.modules"
    code += "; print(len(pylm_lab.parts.catalog()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [str(len(catalog()))], done.stderr
    with pytest.raises(AttributeError, match=r"'pylm_lab\.parts' has no attribute 'catalogue'"):
        _ = lab.parts.catalogue


# ------------------------------------------------------------------------------ what they really do

ZEROMQ = [one for one in catalog() if not one.socket.startswith("HTTP")]
ZEROMQ = [one for one in ZEROMQ if one.module != "pylm_lab.parts.gateways"]
#: The socket of somebody at the other end of one of these.
PAIR = {"PULL": zmq.PUSH, "PUSH": zmq.PULL, "PUB": zmq.SUB, "SUB": zmq.PUB, "REP": zmq.REQ}
ADDRESS = "inproc://outside"


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


def made(one: Classified, context: zmq.Context[zmq.Socket[bytes]]) -> Part:
    part = getattr(importlib.import_module(one.module), one.name)
    more = {"pull_address": f"{ADDRESS}/back"} if one.name == "PushPullService" else {}
    more |= {"previous": "topic"} if one.name == "SubConnection" else {}
    instance: Part = part(one.name, ADDRESS, context=context, cache=DictDB(), **more)
    return instance


class Declared(Hook):
    """Remembers which ports there are, and what they did."""

    def __init__(self) -> None:
        self.ports: dict[str, Port] = {}
        self.bound: list[Port] = []
        self.connected: list[Port] = []

    def port_declared(self, port: Port) -> None:
        self.ports[port.id] = port

    def port_bound(self, port: Port, address: str, at: int) -> None:
        self.bound.append(port)

    def port_connected(self, port: Port, address: str, at: int) -> None:
        self.connected.append(port)


@pytest.mark.parametrize("one", ZEROMQ, ids=lambda one: one.name)
def test_it_binds_or_connects_and_talks_to_a_router_or_not(
    one: Classified, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    seen = Declared()
    part = made(one, context).attach(seen)
    part.open()
    part.cleanup(linger=0)
    outer = [port for port in seen.ports.values() if port.outer]
    assert {port.binds for port in outer} == {one.binds}
    assert all((port in seen.bound) is one.binds for port in outer)
    assert all((port in seen.connected) is not one.binds for port in outer)
    sockets = " + ".join(port.socket for port in outer)
    assert sockets.replace("XPUB", "PUB") == one.socket
    inner = [port for port in seen.ports.values() if not port.outer]
    assert [port.socket for port in inner] == ([] if one.bypass else ["DEALER"])
    assert all(port in seen.connected for port in inner)
    # Which way the first message goes: for a standard part, as its router sees it.
    first = outer[0].receives if one.direction == "inbound" else outer[0].sends
    assert first in ("message", "request")
    if not one.bypass:
        way = inner[0].sends if one.direction == "inbound" else inner[0].receives
        assert way == "message"
    kind = (BypassInbound, BypassOutbound) if one.bypass else (Inbound, Outbound)
    assert isinstance(part, kind[one.direction == "outbound"])


#: Those that speak HTTP or stand between it and a router: how they are made.
GATEWAYS: dict[str, tuple[Any, ...]] = {
    "HttpService": ("here", "127.0.0.1", 0),
    "HttpConnection": ("here", "http://127.0.0.1:9"),
    "GatewayRouter": (),
    "GatewayDealer": (),
    "HttpGateway": (),
}


@pytest.mark.parametrize(
    "one", [one for one in catalog() if one not in ZEROMQ], ids=lambda one: one.name
)
def test_a_gateway_declares_what_the_catalog_says_of_it(one: Classified) -> None:
    seen = Declared()
    part = getattr(importlib.import_module(one.module), one.name)(*GATEWAYS[one.name])
    part.declare(seen)
    ports = list(seen.ports.values())
    assert [port.binds for port in ports if port.socket == one.socket and port.outer] == [one.binds]
    assert [port.socket for port in ports if not port.outer] == ([] if one.bypass else ["DEALER"])
    kinds = (BypassInbound, BypassOutbound) if one.bypass else (Inbound, Outbound)
    assert isinstance(part, kinds[one.direction == "outbound"])
    assert part.blocks is bool(one.blocking)


@pytest.mark.parametrize("one", ZEROMQ, ids=lambda one: one.name)
def test_something_is_sent_back_exactly_where_it_blocks(
    one: Classified, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """An inbound part answers its pair; an outbound one is told nothing until its pair answers."""
    part = made(one, context)
    assert part.blocks is one.blocking
    if one.direction == "inbound":
        assert one.blocking is (part.listen_to.sends == "answer")
    else:
        assert one.blocking is (part.back.receives in ("message", "answer"))
    if one.bypass or one.direction == "inbound":
        return
    with context.socket(zmq.ROUTER) as router, context.socket(PAIR[one.socket[:4].strip()]) as pair:
        router.bind("inproc://broker")
        if one.binds:
            part.open()
        if one.name == "PubService":
            pair.subscribe(b"")
        (pair.connect if one.binds else pair.bind)(ADDRESS)
        pair.rcvtimeo = router.rcvtimeo = 2000
        with part:
            router.get(zmq.EVENTS)
            frames = [one.name.encode(), b"", PalmMessage(client="c").SerializeToString()]
            router.send_multipart(frames)
            assert pair.recv_multipart()[-1] == frames[-1]
            assert bool(router.poll(30)) is not one.blocking


# ---------------------------------------------------------------------------- documented signatures

STANDARD = (
    "name listen_address broker_address='inproc://broker' logger=None cache=None messages=MAX"
)
BYPASS = "name listen_address logger=None cache=None messages=MAX"
GATEWAY = "listen_address='inproc://gateway_router'"
#: What ends the lists of servers.
END = "log_level=20 messages=MAX"

#: Each class, with its parameters as they are documented: name, order, default.
SIGNATURES = {
    "parts.core.Router": "inbound_address='inproc://inbound' outbound_address='inproc://outbound' "
    "logger=None cache=None messages=MAX",
    "parts.core.Inbound": "name listen_address socket_type reply=True "
    "broker_address='inproc://broker' bind=False logger=None cache=None messages=MAX",
    "parts.core.Outbound": "name listen_address socket_type reply=True "
    "broker_address='inproc://broker' bind=False logger=None cache=None messages=MAX",
    "parts.core.BypassInbound": "name listen_address socket_type reply=True bind=False logger=None "
    "cache=None messages=MAX",
    "parts.core.BypassOutbound": "name listen_address socket_type reply=True bind=False "
    "logger=None cache=None messages=MAX",
    "parts.services.RepService": STANDARD,
    "parts.services.PullService": STANDARD,
    "parts.services.PushService": STANDARD,
    "parts.services.PubService": f"{STANDARD} pipelined=False server=None",
    "parts.services.WorkerPullService": STANDARD,
    "parts.services.WorkerPushService": STANDARD,
    "parts.services.PushPullService": "name push_address pull_address "
    "broker_address='inproc://broker' logger=None cache=None messages=MAX",
    "parts.services.RepBypassService": BYPASS,
    "parts.services.CacheService": BYPASS,
    "parts.services.HttpService": "name hostname port broker_address='inproc://broker' logger=None "
    "cache=None",
    "parts.connections.RepConnection": STANDARD,
    "parts.connections.SubConnection": STANDARD.replace("address ", "address previous ", 1),
    "parts.connections.PullConnection": STANDARD,
    "parts.connections.PushConnection": STANDARD,
    "parts.connections.PullBypassConnection": BYPASS,
    "parts.connections.PushBypassConnection": BYPASS,
    "parts.connections.HttpConnection": "name listen_address reply=True "
    "broker_address='inproc://broker' logger=None cache=None max_workers=4 messages=MAX",
    "parts.gateways.GatewayRouter": f"name='gateway_router' {GATEWAY} "
    "broker_address='inproc://broker' cache=DB logger=None messages=MAX",
    "parts.gateways.GatewayDealer": f"name='' {GATEWAY} "
    "broker_address='inproc://broker' cache=DB logger=None messages=MAX",
    "parts.gateways.HttpGateway": f"name='' {GATEWAY} hostname='' port=8888 cache=DB logger=None",
    "parts.servers.ServerTemplate": "logging_level=20 router_messages=MAX",
    "servers.Server": f"name db_address pull_address pub_address pipelined=False {END}",
    "servers.Pipeline": f"name db_address sub_address pub_address previous to_client=True {END}",
    "servers.Sink": f"name db_address sub_addresses pub_address previous to_client=True {END}",
    "servers.Master": "name pull_address pub_address worker_pull_address worker_push_address "
    "db_address pipelined=False cache log_level",
    "servers.Hub": "name sub_address pub_address worker_pull_address worker_push_address "
    "db_address previous pipelined=False cache log_level",
    "servers.Worker": f"name='' db_address='' push_address=None pull_address=None {END}",
    "servers.MuxWorker": f"name='' db_address='' push_address=None pull_address=None {END}",
    "clients.Client": "server_name db_address push_address=None sub_address=None session=None "
    "logging_level=20 this_config=False",
}
#: A method, likewise.
METHODS = {
    "parts.core.Router.register_inbound": "self name route='' block=False log=''",
    "parts.core.Router.register_outbound": "self name route='' log=''",
    "parts.servers.ServerTemplate.register_inbound": "self part name='' listen_address='' route='' "
    "block=False log='' kwargs",
    "parts.servers.ServerTemplate.register_outbound": "self part name='' listen_address='' "
    "route='' log='' kwargs",
    "parts.servers.ServerTemplate.register_bypass": "self part name='' listen_address='' kwargs",
    "parts.servers.BaseMaster.change_payload": "self message new_payload",
    "clients.Client.eval": "self function payload messages=1 cache=''",
    "clients.Client.job": "self function generator messages=MAX cache=''",
    "clients.Client.set": "self value key=None",
    "clients.Client.get": "self key",
    "clients.Client.delete": "self key",
}


def found(path: str) -> Callable[..., Any] | None:
    """The class or the method; None as long as there is none."""
    home, name = path.rsplit(".", 1)
    try:
        there: Any = importlib.import_module(f"pylm_lab.{home}")
    except ModuleNotFoundError:
        there = found(home) if home.count(".") and home != "parts.gateways" else None
    thing: Callable[..., Any] | None = getattr(there, name, None)
    return thing


@pytest.mark.parametrize("path", [path for path in SIGNATURES | METHODS if found(path)])
def test_parameters_are_the_documented_ones_in_name_order_and_default(path: str) -> None:
    documented = (SIGNATURES | METHODS)[path].split()
    thing = found(path)
    assert thing is not None
    ours = [
        parameter
        for parameter in inspect.signature(thing).parameters.values()
        if parameter.kind is not parameter.KEYWORD_ONLY
    ]
    named = [parameter for parameter in ours if parameter.kind is not parameter.VAR_KEYWORD]
    wanted = [word.partition("=") for word in documented if word != "kwargs"]
    assert [parameter.name for parameter in named] == [name for name, _, _ in wanted]
    for parameter, (name, given, text) in zip(named, wanted, strict=True):
        if given and text != "DB":  # a new DictDB each: no default object can say that
            value = sys.maxsize if text == "MAX" else ast.literal_eval(text)
            assert parameter.default == value, name
    if "kwargs" in documented:
        assert len(named) < len(ours)


def test_what_is_documented_is_there() -> None:
    """All parts over ZeroMQ are; whatever isn't yet is not forgotten here."""
    for row in ROWS.values():
        module, name, *_ = row
        if module in ("services", "connections") and not name.startswith("Http"):
            assert f"parts.{module}.{name}" in SIGNATURES
            assert found(f"parts.{module}.{name}") is not None


# -------------------------------------------------------------------------------------- the command


def test_the_command_prints_the_catalog_in_three_forms(capsys: pytest.CaptureFixture[str]) -> None:
    parts = catalog()
    assert main(["parts", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [dataclasses.asdict(one) for one in parts]
    assert main(["parts", "--format", "markdown"]) == 0
    head, rule, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == len(parts)
    assert len({line.count("|") for line in (head, rule, *rows)}) == 1
    assert main(["parts"]) == 0
    text = capsys.readouterr().out
    assert all(len(line) <= 100 for line in text.splitlines())
    for one, row in zip(parts, rows, strict=True):
        assert f"| `{one.name}` |" in row
        line = next(line for line in text.splitlines() if line.startswith(f"  {one.name} "))
        for cell in ("service" if one.binds else "connection", one.direction, one.socket):
            assert cell in line
            assert f"| {cell} |" in row


def test_a_form_that_is_none_is_told_with_those_that_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["parts", "--format", "xml"]) == 2
    assert "--format 'xml': choose from text, markdown, json" in capsys.readouterr().err


def test_a_notebook_shows_the_catalog_as_a_table_without_long_sentences() -> None:
    head, _, *rows = catalog()._repr_markdown_().splitlines()
    assert head.startswith("| part | base | socket |")
    assert [row.split("`")[1] for row in rows] == [one.name for one in catalog()]
    assert max(map(len, rows)) < 110
    assert repr(catalog()).splitlines()[0] == "pylm_lab.parts.services"
