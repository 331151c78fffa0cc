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

import pylm_lab as lab
from pylm_lab.errors import TraceFileError
from pylm_lab.graph import from_json, graph, message_graph, to_json, wiring
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
        "forgotten": 0,
        "left_out": 0,
        "cut": [],
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


# --------------------------------------------------------------------------------- what led to what

SEEDED = [name for name in lab.scenarios if not lab.scenarios[name].free_only]


@pytest.fixture(scope="module", params=SEEDED)
def scenario(request: pytest.FixtureRequest) -> Trace:
    """A run of each scenario that can be seeded."""
    return lab.scenarios[request.param].run(seed=1)


def led_to(trace: Trace) -> dict[int, list[int]]:
    """Each hop of the graph, and the hops that it led to."""
    return {n: sorted(trace.message_graph[n]) for n in trace.message_graph}


def test_a_hop_leads_to_the_hop_that_carried_its_message_on() -> None:
    trace = Build().master().run(1).run(2).end()
    assert isinstance(trace.message_graph, nx.DiGraph)
    assert led_to(trace) == {
        **{n: [n + 1] for n in (*range(7), *range(8, 15))},
        7: [],
        15: [],
    }
    found = trace.message_graph
    assert found.edges[0, 1] == {
        "actor": "server.Pull",
        "since": 33,
        "until": 34,
        "unseen": False,
    }
    edges: Any = trace.graph
    plain = edges["client"]["server.Pull"][0]
    assert found.nodes[0] == {**plain, "source": "client", "target": "server.Pull"}
    assert found.graph == {
        "schedule": "free",
        "seed": None,
        "clock": "step",
        "scenario": "",
        "forgotten": 0,
        "left_out": 0,
        "cut": [],
    }


def test_what_was_made_or_asked_or_answered_is_led_to_as_well() -> None:
    build = Build().master(workers=1).run(1, until="worker1:pull")  # hops 0 to 3
    build.cross("worker1:db", "server.Cache:listen_to", message(7, parent=1))  # 4
    build.cross("server.Cache:listen_to", "worker1:db", b"value")  # 5
    build.cross("worker1:push", "server.WorkerPull:listen_to", message(1))  # 6
    build.cross("worker1:push", "server.WorkerPull:listen_to", message(8, parent=1))  # 7
    found = led_to(build.end())
    assert found == {0: [1], 1: [2], 2: [3], 3: [4, 6, 7], 4: [5], 5: [6], 6: [], 7: []}


def test_an_answer_leads_to_all_that_is_published_once_it_has_come() -> None:
    build = Build().link("a:push", "b:pull").link("b:req", "c:rep", "REQ REP", kind="request")
    build.port("c:rep", "REP", "inproc://c", binds=True, receives="request", sends="answer")
    build.port("b:req", "REQ", "inproc://c", sends="request", receives="answer")
    build.port("b:pub", "PUB", "inproc://p", binds=True, sends="message")
    build.actor("d", "client").actor("e", "client")
    for name in ("d", "e"):
        build.port(f"{name}:sub", "SUB", "inproc://p", receives="message")
        build.subscribe(f"{name}:sub", b"t", "b:pub")
    build.cross("a:push", "b:pull", message(1)).cross("b:req", "c:rep", message(7, parent=1))
    build.cross("c:rep", "b:req", b"value").send("b:pub", b"t", message(1))
    build.receive("d:sub", b"t", message(1)).receive("e:sub", b"t", message(1))
    assert led_to(build.end()) == {0: [1, 3, 4], 1: [2], 2: [3, 4], 3: [], 4: []}


def test_an_answer_comes_from_its_request_also_without_an_id() -> None:
    build = Build().link("a:req", "b:rep", "REQ REP", kind="request")
    build.port("b:rep", "REP", "inproc://b", binds=True, receives="request", sends="answer")
    build.port("a:req", "REQ", "inproc://b", sends="request", receives="answer")
    for question, answer in ((b"1?", b"1!"), (b"2?", b"2!")):
        build.cross("a:req", "b:rep", question).cross("b:rep", "a:req", answer)
    assert led_to(build.end()) == {0: [1], 1: [], 2: [3], 3: []}


def test_a_publication_leads_on_from_each_of_its_subscribers() -> None:
    trace = lab.scenarios["tee"].run(seed=1)
    hops = [n for n, hop in enumerate(trace.hops) if hop.message == trace.ids_by_number["1"]]
    found = trace.message_graph.subgraph(hops)
    (inside,) = [n for n in found if found.out_degree(n) == 2]
    assert {trace.hops[n].target for n in found[inside]} == {"pipeline.Sub", "pipeline2.Sub"}
    assert nx.is_tree(found)


def test_across_somebody_who_was_not_recorded_the_order_tells() -> None:
    build = Build().actor("a", "client").actor("b", "worker")
    build.port("a:push", "PUSH", "tcp://far:1", sends="message")
    build.port("b:pull", "PULL", "tcp://far:2", receives="message")
    build.send("a:push", message(1)).receive("b:pull", message(1)).receive("b:pull", message(2))
    found = build.end().message_graph
    assert [*found.edges(data=True)] == [
        (0, 1, {"actor": "", "since": 3, "until": 4, "unseen": True})
    ]
    assert [*found] == [0, 1, 2]


def test_what_a_fault_doubled_comes_from_where_it_was_sent() -> None:
    build = Build().link("a:push", "b:pull").send("a:push", message(1))
    build.fault("b:pull", "duplicate", message(1))
    build.receive("b:pull", message(1)).receive("b:pull", message(1))
    found = build.end().message_graph
    assert len(found) == 2
    assert [*found.edges] == [(0, 1)]


def test_nothing_leads_to_itself(scenario: Trace) -> None:
    found = scenario.message_graph
    assert nx.is_directed_acyclic_graph(found)
    assert all(earlier < later for earlier, later in found.edges)
    for _, _, data in found.edges(data=True):
        assert data["since"] <= data["until"]
        assert not data["unseen"]


def test_every_hop_of_a_message_comes_from_its_first(scenario: Trace) -> None:
    found, hops = scenario.message_graph, scenario.hops
    assert {*found} == {n for n, hop in enumerate(hops) if hop.kind not in ("credit", "ready")}
    for one in (*scenario.messages, *scenario.messages.requests):
        own = [n for n in found if hops[n] in one.hops]
        assert set(own) <= {own[0], *nx.descendants(found, own[0])}
        if one.parent:
            before = [n for n in found if hops[n] in one.parent.hops]
            assert own[0] in nx.descendants(found, before[0])


def test_all_attributes_are_plain_json(scenario: Trace) -> None:
    for found in (scenario.graph, scenario.wiring, scenario.message_graph):
        assert_plain(found.graph)
        walk(found.graph)
        for _, data in found.nodes(data=True):
            assert_plain(data)
            walk(data)
        for *_, data in found.edges(data=True):
            assert_plain(data)
            walk(data)


def walk(value: object) -> None:
    """Exactly these types, not those that only look alike, such as numbers of numpy."""
    assert type(value) in (str, int, float, bool, type(None), list, dict), repr(value)
    if isinstance(value, dict):
        assert all(type(name) is str for name in value)
    for one in value.values() if isinstance(value, dict) else value if type(value) is list else ():
        walk(one)


# ----------------------------------------------------------------------------------------- as JSON


@pytest.mark.parametrize("which", [graph, wiring, message_graph])
def test_a_graph_goes_through_json_and_back(which: Callable[[Trace], Any]) -> None:
    found = which(ten())
    text = to_json(found)
    back: Any = nx.node_link_graph(json.loads(text), edges="edges")
    assert dict(back.nodes(data=True)) == dict(found.nodes(data=True))
    assert sorted(back.edges.items(), key=str) == sorted(found.edges.items(), key=str)
    assert back.graph == found.graph
    assert to_json(back) == text


def test_what_was_written_is_read_again(scenario: Trace) -> None:
    for found in (scenario.graph, scenario.wiring, scenario.message_graph):
        back = from_json(to_json(found))
        assert type(back) is type(found)
        assert nx.utils.graphs_equal(back, found)
        assert to_json(back) == to_json(found)


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "{", "[]", "3", "null", '"text"', "{}", '{"nodes": 3, "edges": []}'),
        '{"nodes": [], "edges": [{"source": 1}]}',
        '{"nodes": [{"name": 1}], "edges": []}',
        '{"nodes": [{"id": {}}], "edges": []}',
        '{"directed": false, "nodes": [], "edges": []}',
        "[" * 100_000,
    ],
)
def test_what_is_no_graph_is_one_clear_error(wrong: str) -> None:
    with pytest.raises(TraceFileError, match=r"give the text that pylm_lab\.graph\.to_json made"):
        from_json(wrong)


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
