"""Graph: a trace as networkx sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from builder import Build, message

from pylm_lab.graph import graph, to_json, wiring
from pylm_lab.trace import Trace


def ten() -> Trace:
    """Ten messages over two workers, and a request."""
    build = Build(schedule="seeded", seed=1, scenario="parallel").master()
    build.cross("client:db", "server.Cache:listen_to", message(90, function="server.get"))
    build.cross("server.Cache:listen_to", "client:db", b"value")
    for id in range(1, 11):
        build.run(id, worker=f"worker{2 - id % 2}")
    return build.end()


def assert_plain(value: object) -> None:
    """It goes through JSON unchanged."""
    assert json.loads(json.dumps(value, allow_nan=False)) == value


# ----------------------------------------------------------------------------------- what was seen


def test_a_node_says_what_an_actor_is() -> None:
    nodes = ten().graph.nodes
    assert list(nodes) == [actor.id for actor in ten().actors]
    assert nodes["server.Cache"] == {
        "label": "Cache",
        "role": "bypass",
        "kind": "Bypass",
        "server": "server",
        "serves": "",
        "blocks": True,
        "bypass": True,
        "sockets": [
            {
                "port": "server.Cache:listen_to",
                "socket": "REP",
                "binds": True,
                "outer": True,
                "address": "inproc://Cache",
            }
        ],
    }
    assert [name for name, data in nodes(data=True) if data["bypass"]] == ["server.Cache"]
    assert nodes["worker1"]["serves"] == "server"
    assert [(s["socket"], s["binds"], s["outer"]) for s in nodes["server.Pull"]["sockets"]] == [
        ("PULL", True, True),
        ("DEALER", False, False),
    ]


def test_an_edge_is_a_hop_and_its_key_the_hops_position() -> None:
    trace = ten()
    found: Any = trace.graph
    assert isinstance(trace.graph, nx.MultiDiGraph)
    edges = sorted(found.edges(keys=True), key=lambda edge: edge[2])
    assert edges == [(hop.source, hop.target, n) for n, hop in enumerate(trace.hops)]
    assert found["client"]["server.Pull"][2] == {
        "kind": "message",
        "message": "1",
        "message_id": f"{1:016x}",
        "sent": 36,
        "received": 37,
        "lost": False,
        "cause": "",
        "stage": 0,
        "function": "server.foo",
        "size": len(message(1)),
        "source_port": "client:push",
        "target_port": "server.Pull:listen_to",
    }
    assert found["client"]["server.Cache"][0]["message"] == "r1"
    assert found["server.Cache"]["client"][1]["kind"] == "answer"
    assert found["server.Pull"]["server.router"][3]["size"] == len(message(1))
    assert found["server.router"]["server.WorkerPush"][4]["size"] == len(message(1)) + 10
    for _, _, data in found.edges(data=True):
        assert_plain(data)


def test_the_graph_says_which_run_it_is() -> None:
    about = ten().graph.graph
    assert_plain(about)
    assert about == {
        "schedule": "seeded",
        "seed": 1,
        "clock": "step",
        "scenario": "parallel",
        "unplaced": [],
        "routes": [
            {
                "server": "server",
                "number": number,
                "source": f"server.{source}",
                "target": f"server.{target}",
                "feedback": "",
            }
            for number, source, target in ((1, "Pull", "WorkerPush"), (2, "WorkerPull", "Pub"))
        ],
    }


def test_what_did_not_arrive_is_an_edge_if_it_is_known_where_to() -> None:
    build = Build().link("a:push", "b:pull")
    build.send("a:push", message(1))
    build.drop("a:push", message(2), cause="before")
    build.send("a:push", message(3)).drop("a:push", message(3), cause="after")
    build.send("a:push", message(4)).drop("b:pull", message(4), cause="instead")
    build.cross("a:push", "b:pull", message(5)).drop("b:pull", message(5), cause="later")
    edges = [data for _, _, data in build.trace.graph.edges(data=True)]
    told = ("message", "sent", "received", "lost", "cause", "source_port", "target_port")
    assert [tuple(data[name] for name in told) for data in edges] == [
        ("1", 3, None, False, "", "a:push", ""),
        ("2", None, None, True, "before", "a:push", ""),
        ("3", 5, None, True, "after", "a:push", ""),
        ("4", 7, None, True, "instead", "a:push", "b:pull"),
        ("5", 9, 10, False, "later", "a:push", "b:pull"),
    ]


def test_a_hop_with_one_known_end_is_told_beside_the_graph() -> None:
    build = Build().master().run(1, until="server.WorkerPush:listen_to")
    build.run(2, since="server.WorkerPull:listen_to")
    found = build.end().graph
    assert set(found.nodes) == set(build.actors), "nodes are actors only"
    lost, unsent = found.graph["unplaced"]
    assert_plain(found.graph["unplaced"])
    assert (lost["source"], lost["target"], lost["message"]) == ("server.WorkerPush", "", "1")
    assert (unsent["source"], unsent["target"]) == ("", "server.WorkerPull")
    assert (lost["source_port"], lost["target_port"]) == ("server.WorkerPush:listen_to", "")
    assert (unsent["source_port"], unsent["target_port"]) == ("", "server.WorkerPull:listen_to")
    keys = [lost["key"], unsent["key"], *(key for _, _, key in found.edges(keys=True))]
    assert sorted(keys) == list(range(len(build.trace.hops)))


# ------------------------------------------------------------------------------- what was declared


def wires(trace: Trace) -> set[tuple[str, str, str]]:
    """Source, target and what can go that way, of each edge of the wiring."""
    return {(s, t, " ".join(d["kinds"])) for s, t, d in trace.wiring.edges(data=True)}


INSIDE = {
    ("server.Pull", "server.router", "message"),
    ("server.router", "server.Pull", "credit"),
    ("server.WorkerPull", "server.router", "message"),
    ("server.router", "server.WorkerPull", "credit"),
    ("server.router", "server.WorkerPush", "message"),
    ("server.WorkerPush", "server.router", "credit"),
    ("server.router", "server.Pub", "message"),
    ("server.Pub", "server.router", "credit"),
}
OUTSIDE = {
    ("client", "server.Pull", "message"),
    ("client", "server.Cache", "request"),
    ("server.Cache", "client", "answer"),
    ("server.Pub", "client", "message ready"),
    ("worker1", "server.WorkerPull", "message"),
    ("worker1", "server.Cache", "request"),
    ("server.Cache", "worker1", "answer"),
    ("server.WorkerPush", "worker1", "message"),
}


def test_the_wiring_has_an_edge_for_each_direction_of_each_link() -> None:
    trace = Build().master(workers=1).trace
    assert wires(trace) == INSIDE | OUTSIDE
    assert len(trace.wiring.edges) == len(INSIDE | OUTSIDE)
    (data,) = trace.wiring["server.WorkerPush"]["worker1"].values()
    assert data == {
        "source_port": "server.WorkerPush:listen_to",
        "target_port": "worker1:pull",
        "sockets": "PUSH → PULL",
        "kinds": ["message"],
        "address": "inproc://WorkerPush",
    }
    assert trace.wiring.graph["routes"] == trace.graph.graph["routes"]
    assert "unplaced" not in trace.wiring.graph


def test_before_anything_is_bound_the_links_inside_a_server_are_known() -> None:
    trace = Build().master(joined=False).trace
    assert wires(trace) == INSIDE
    assert {data["address"] for _, _, data in trace.wiring.edges(data=True)} == {""}
    assert list(trace.wiring.nodes) == list(trace.graph.nodes)


def test_two_servers_are_not_wired_to_each_other() -> None:
    build = Build().master(workers=0, clients=0, joined=False)
    build.actor("other.router", "router", server="other").actor(
        "other.In", "inbound", server="other"
    )
    both: dict[str, Any] = {"outer": False, "receives": "message", "sends": "credit"}
    build.port("other.router:inbound", "ROUTER", binds=True, **both)
    build.port("other.In:broker", "DEALER", outer=False, sends="message", receives="credit")
    assert wires(build.trace) - INSIDE == {
        ("other.In", "other.router", "message"),
        ("other.router", "other.In", "credit"),
    }


def test_a_part_without_a_router_has_no_wire() -> None:
    build = Build().part("Pull", "inbound", "PULL")
    assert wires(build.trace) == set()


def test_a_part_that_is_not_bound_yet_is_wired_to_a_router_that_is() -> None:
    build = Build().master(joined=False).join("server.router:inbound", "inproc://in")
    (data,) = build.trace.wiring["server.Pull"]["server.router"].values()
    assert data["address"] == "inproc://in"
    assert wires(build.trace) == INSIDE


def test_a_part_that_went_elsewhere_is_not_wired_to_its_router() -> None:
    build = Build().master().part("Lost", "inbound", "PULL")
    build.join("server.Lost:broker", "inproc://elsewhere")
    assert not {wire for wire in wires(build.trace) if "server.Lost" in wire}


def test_two_who_connect_to_one_address_have_no_wire_between_them() -> None:
    build = Build().link("a:push", "b:pull").actor("c", "worker")
    build.port("c:pull", "PULL", "inproc://b:pull", receives="message")
    assert wires(build.trace) == {("a", "b", "message")}


def test_a_port_tells_all_its_addresses() -> None:
    build = Build().link("a:push", "b:pull").link("x:push", "y:pull")
    build.join("a:push", "inproc://y:pull")
    (socket,) = build.trace.wiring.nodes["a"]["sockets"]
    assert socket["address"] == "inproc://b:pull inproc://y:pull"
    assert wires(build.trace) == {
        ("a", "b", "message"),
        ("a", "y", "message"),
        ("x", "y", "message"),
    }


def test_whatever_was_observed_was_declared() -> None:
    trace = ten()
    declared = {(source, target) for source, target, _ in trace.wiring.edges(keys=True)}
    assert {(source, target) for source, target, _ in trace.graph.edges(keys=True)} <= declared
    for source, target, data in trace.graph.edges(data=True):
        beside = trace.wiring[source][target].values()
        assert any(
            (data["source_port"], data["target_port"]) == (wire["source_port"], wire["target_port"])
            and data["kind"] in wire["kinds"]
            for wire in beside
        )


# ----------------------------------------------------------------------------------------- as JSON


@pytest.mark.parametrize("which", [graph, wiring])
def test_a_graph_goes_through_json_and_back(which: Callable[[Trace], Any]) -> None:
    found = which(ten())
    text = to_json(found)
    back: Any = nx.node_link_graph(json.loads(text), edges="edges")
    assert dict(back.nodes(data=True)) == dict(found.nodes(data=True))
    assert sorted(back.edges(keys=True, data=True), key=str) == sorted(
        found.edges(keys=True, data=True), key=str
    )
    assert back.graph == found.graph
    assert to_json(back) == text


def test_the_order_in_which_a_graph_was_made_does_not_show() -> None:
    found: Any = ten().graph
    mixed: Any = nx.MultiDiGraph(**dict(reversed(found.graph.items())))
    mixed.add_nodes_from(reversed(list(found.nodes(data=True))))
    mixed.add_edges_from(reversed(list(found.edges(keys=True, data=True))))
    assert to_json(mixed) == to_json(found)


def test_the_json_is_sorted_and_one_line_for_each_thing() -> None:
    trace = ten()
    data = json.loads(to_json(trace.graph))
    assert list(data) == ["directed", "multigraph", "graph", "nodes", "edges"]
    assert [edge["key"] for edge in data["edges"]] == list(range(len(trace.hops)))
    assert [node["id"] for node in data["nodes"]] == sorted(trace.graph.nodes)
    lines = to_json(trace.graph).splitlines()
    assert len(lines) == 2 + 3 + 2 * 2 + len(data["nodes"]) + len(data["edges"])
    assert to_json(trace.graph).isascii()
    assert to_json(trace.graph).endswith("}\n")


def test_a_graph_of_nothing_is_json_too() -> None:
    assert json.loads(to_json(Trace().graph))["edges"] == []


def test_the_same_trace_is_the_same_json_whatever_the_hash_seed() -> None:
    code = (
        "import sys; sys.path.append(sys.argv[1]); import test_graph as t; "
        "from pylm_lab.graph import to_json; trace = t.ten(); "
        "sys.stdout.write(to_json(trace.graph) + to_json(trace.wiring) + repr(trace.check()))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)],
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            timeout=60,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(texts) == 1
    assert len(texts.pop()) > 10_000
