"""Waits: who waits for whom, the circle among them, and the sentences that tell it."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import subprocess
import sys
from itertools import pairwise
from typing import Any

import networkx as nx
import pytest
from waits_cases import CASES, idle, room, wait, wild

from pylm_lab import graph
from pylm_lab.waits import Wait, Waits, lasting

# ---------------------------------------------------------------------------------- what they hold


def test_a_wait_says_who_waits_for_what_how_long() -> None:
    assert str(wait("a", "b", lasting=1)) == "a waits for a message at a:listen_to, for 1 step"
    assert repr(wait("a", lasting=12.345, unit="s")).endswith(", for 12.3 s")
    assert lasting(212, "steps") == "212 steps"


def test_waits_are_an_immutable_list_that_knows_its_actors() -> None:
    waits = CASES["two"]
    assert isinstance(waits, tuple)
    assert [w.actor for w in waits][:2] == ["client", "server.WorkerPush"]
    assert waits.of("worker1") == wait("worker1", "server.WorkerPush", port="pull")
    assert waits.of("nobody") is None
    assert [w.actor for w in waits.idle] == ["server.Pull", "worker2"]
    assert len(waits.blocked) + len(waits.idle) == len(waits)
    assert type(waits.blocked) is tuple
    assert Waits(list(waits)) == waits
    copy = pickle.loads(pickle.dumps(waits))
    assert (copy, copy.cycle, type(copy)) == (waits, waits.cycle, Waits)


@pytest.mark.parametrize("wrong", ["client", None, ("a", "a message")])
def test_what_is_no_wait_is_told(wrong: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{re.escape(repr(wrong))} is no Wait: give what"):
        Waits([wait("a"), wrong])


def test_an_actor_that_waits_twice_is_told() -> None:
    with pytest.raises(ValueError, match=r"'a' waits twice.*Give them different names"):
        Waits([wait("a"), wait("b"), wait("a", idle=True)])


# -------------------------------------------------------------------------------------- the circle


@pytest.mark.parametrize(
    ("case", "cycle"),
    [
        ("nobody", ()),
        ("at rest", ()),
        ("chain", ()),
        ("function", ()),
        ("one", ("proxy",)),
        ("two", ("server.WorkerPush", "worker1")),
        ("three", ("server.Pull", "server.router", "server.WorkerPush")),
        ("five", ("hub1", "hub2", "hub3", "hub4", "hub5")),
        ("two circles", ("a1", "a2", "a3")),
    ],
)
def test_the_circle_is_found(case: str, cycle: tuple[str, ...]) -> None:
    assert CASES[case].cycle == cycle


def test_of_circles_as_short_the_first_by_its_ids_is_taken() -> None:
    waits = [wait("c", "d"), wait("d", "c", "b"), wait("b", "d"), wait("a", "z"), wait("z", "a")]
    assert Waits(waits).cycle == ("a", "z")
    assert Waits(waits[:3]).cycle == ("b", "d")
    star = [wait("a", *"hgfedcb"), *(wait(name, "a") for name in "bcdefgh")]
    assert Waits(star).cycle == ("a", "b")


def test_who_is_idle_or_does_not_wait_closes_no_circle() -> None:
    assert Waits([wait("a", "b"), wait("b", "a", idle=True)]).cycle == ()
    assert Waits([wait("a", "b")]).cycle == ()


def test_a_circle_is_one_and_none_is_shorter(scale: int) -> None:
    """As networkx sees it, which knows nothing of ours."""
    for seed in range(60 * scale):
        waits = wild(seed)
        stuck = {w.actor for w in waits.blocked}
        edges = [(w.actor, other) for w in waits.blocked for other in w.on if other in stuck]
        known = nx.DiGraph(edges)
        cycle = waits.cycle
        assert bool(cycle) is not nx.is_directed_acyclic_graph(known)
        if cycle:
            assert all(known.has_edge(a, b) for a, b in pairwise((*cycle, cycle[0])))
            assert len(set(cycle)) == len(cycle)
            assert cycle[0] == min(cycle)
            shorter = nx.simple_cycles(known, length_bound=len(cycle) - 1)
            assert len(cycle) == 1 or not list(shorter)


def test_neither_order_nor_hash_seed_has_a_say() -> None:
    waits = list(wild(2))
    random.Random(1).shuffle(waits)
    assert Waits(waits).cycle == wild(2).cycle != ()
    code = (
        "from waits_cases import CASES, wild\n"
        "for w in (*CASES.values(), *map(wild, range(9))):\n"
        "    print(ascii(str(w)), w.cycle, ascii(w._repr_html_()))"
    )
    assert run(code, "1") == run(code, "2")


def run(code: str, seed: str) -> str:
    """What a new interpreter with this hash seed prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ------------------------------------------------------------------------------------- in sentences


def told(waits: Waits) -> list[str]:
    assert str(waits) == repr(waits)
    return str(waits).split("\n")


def test_a_circle_is_told_and_who_waits_behind_it() -> None:
    assert told(CASES["two"]) == [
        "server.WorkerPush waits for room to send at server.WorkerPush:listen_to,"
        " which only worker1 can give, for 4 steps.",
        "worker1 waits for a message at worker1:pull from server.WorkerPush, for 3 steps.",
        "client waits for a message at client:sub from server.Pub, for 212 steps.",
        "server.Pub waits for a message at server.Pub:broker from server.WorkerPush,"
        " for 100 steps.",
        "Round and round: server.WorkerPush waits for worker1, worker1 waits for"
        " server.WorkerPush.",
        "Behind the circle wait: client, server.Pub.",
        "Idle: server.Pull, worker2.",
    ]
    assert told(CASES["one"])[-2:] == [
        "Round and round: proxy waits for itself.",
        "Behind the circle waits: client.",
    ]


def test_who_could_go_on_without_the_circle_is_not_behind_it() -> None:
    assert told(Waits([wait("a", "a"), wait("b", "c")]))[-1].startswith("Round and round: a waits")


def test_a_chain_is_told_to_its_idle_end() -> None:
    assert told(CASES["chain"])[2:] == [
        "Nobody waits in a circle. Follow the chain: client waits for server.Pub, which waits for"
        " server.router, which has nothing to do and waits for a message at"
        " server.router:listen_to.",
        "So something was lost on the way, never answered, or never sent.",
        "Idle: server.Pull, server.router.",
    ]


def test_where_no_end_is_idle_nothing_is_said_to_be_lost() -> None:
    assert told(CASES["function"])[-1] == (
        "Nobody waits in a circle. Follow the chain: client waits for worker1, which waits for its"
        " function slow to return, and no other actor can end that."
    )
    assert told(Waits([wait("client", "worker1", "worker2")])) == [
        "client waits for a message at client:listen_to from worker1 or worker2, for 3 steps.",
        "Nobody waits in a circle. Follow the chain: client waits for worker1, which does not wait:"
        " it is at work, or it has ended.",
    ]


def test_who_waits_for_nobody_known_is_a_chain_of_one() -> None:
    (_, chain) = told(Waits([wait("client")]))
    assert chain == (
        "Nobody waits in a circle. Follow the chain: client waits for a message at"
        " client:listen_to, and no other actor can end that."
    )


def test_a_chain_takes_the_shortest_way() -> None:
    waits = Waits([wait("a", "b", "z"), wait("b", "c"), *idle("c", "z")])
    assert "a waits for z, which has nothing to do" in str(waits)


def test_nobody_and_nobody_owed_are_told() -> None:
    assert told(Waits()) == ["Nobody waits."]
    assert told(CASES["at rest"]) == [
        "Nobody is owed anything: all wait for their next piece of work.",
        "Idle: server.Pull, server.router, server.WorkerPush.",
    ]


def test_many_are_told_in_few_lines() -> None:
    lines = told(Waits([*(wait(f"a{n:02}", "b") for n in range(30)), *idle("b")]))
    assert len(lines) == 25
    assert lines[20] == "And 10 more wait."
    assert lines[22] == "And 27 more chains."
    assert told(CASES["many at rest"])[-1].endswith("worker10, worker11 and 48 more.")


def test_many_ways_to_one_end_take_no_time() -> None:
    """Twice as many at each of forty steps, if all were looked at."""
    steps = [
        wait(f"{side}{n:02}", f"a{n + 1:02}", f"b{n + 1:02}") for n in range(40) for side in "ab"
    ]
    assert "which does not wait" in str(Waits(steps))


def test_hostile_names_stay_on_their_line() -> None:
    lines = told(CASES["hostile"])
    assert len(lines) == 8
    assert all(line.isprintable() for line in lines)
    assert any(r"a\u202eb\n\x00\udc80" in line for line in lines)
    assert max(map(len, lines)) < 600


# ----------------------------------------------------------------------------------- in a notebook


def rows(waits: Waits) -> list[list[str]]:
    """The text of the table's cells."""
    return [
        re.findall(r"<t[hd][^>]*>(?:<bdi>|<b>)?(.*?)(?:</bdi>|</b>)?</t[hd]>", row)
        for row in re.findall("<tr.*?</tr>", waits._repr_html_())
    ]


def test_a_table_shows_the_circle_first_and_the_idle_last() -> None:
    assert rows(CASES["two"]) == [
        ["who", "waits for", "from", "how long", ""],
        [
            "server.WorkerPush",
            "room to send at server.WorkerPush:listen_to",
            "worker1",
            "4 steps",
            "circle 1",
        ],
        ["worker1", "a message at worker1:pull", "server.WorkerPush", "3 steps", "circle 2"],
        ["client", "a message at client:sub", "server.Pub", "212 steps", ""],
        ["server.Pub", "a message at server.Pub:broker", "server.WorkerPush", "100 steps", ""],
        ["server.Pull", "a message at server.Pull:listen_to", "worker2", "3 steps", "idle"],
        ["worker2", "a message at worker2:listen_to", "server.Pull", "3 steps", "idle"],
    ]
    caption = re.search("<caption.*?>(.*?)</caption>", CASES["two"]._repr_html_())
    assert caption is not None
    assert caption[1].startswith("Round and round: server.WorkerPush waits for worker1, worker1")


def test_a_table_is_never_endless() -> None:
    assert len(rows(CASES["many at rest"])) == 21
    assert CASES["many at rest"]._repr_html_().endswith("<p>… 40 more</p>")
    assert Waits()._repr_html_() == "<p>Nobody waits.</p>"


def test_texts_are_no_markup() -> None:
    html = CASES["hostile"]._repr_html_()
    assert "<i>" not in html
    assert "&lt;b&gt;&amp;amp;" in html
    assert "\x00" not in html
    assert html.encode("utf-8")


# --------------------------------------------------------------------------------------- as a graph


def test_a_node_is_an_actor_and_an_edge_leads_to_whom_it_waits_for() -> None:
    found = CASES["three"].graph
    assert isinstance(found, nx.MultiDiGraph)
    assert list(found) == sorted(found)
    assert found.graph == {"cycle": ["server.Pull", "server.router", "server.WorkerPush"]}
    assert found.nodes["server.WorkerPush"] == {
        "waits": True,
        "idle": False,
        "what": "room to send at server.WorkerPush:listen_to",
        "ports": ["server.WorkerPush:listen_to"],
        "lasting": 4.0,
        "unit": "steps",
        "in_cycle": True,
    }
    assert [name for name, data in found.nodes(data=True) if data["idle"]] == [
        "server.Pub",
        "worker1",
        "worker2",
    ]
    assert found.edges["server.WorkerPush", "server.Pull", 0] == {
        "what": "room to send at server.WorkerPush:listen_to",
        "ports": ["server.WorkerPush:listen_to"],
        "in_cycle": True,
    }
    assert [(a, b) for a, b, data in found.edges(data=True) if not data["in_cycle"]] == [
        ("client", "server.Pull"),
        ("server.Pub", "worker1"),
        ("server.WorkerPush", "worker1"),
        ("worker1", "worker2"),
        ("worker2", "server.Pub"),
    ]


def test_who_is_only_waited_for_is_a_node_too() -> None:
    (node,) = [data for name, data in Waits([wait("a", "b")]).graph.nodes(data=True) if name == "b"]
    assert (node["waits"], node["idle"], node["what"], node["unit"]) == (False, False, "", "")


def test_only_the_edges_of_the_circle_are_in_it() -> None:
    """Not another one between two of its actors."""
    waits = Waits([wait("a", "b"), wait("b", "a", "b"), wait("c", "a")])
    assert waits.cycle == ("b",)
    edges = waits.graph.edges(data="in_cycle")
    assert [(a, b) for a, b, within in edges if within] == [("b", "b")]


@pytest.mark.parametrize("case", CASES)
def test_the_graph_is_plain_and_the_same_whatever_the_order(case: str) -> None:
    waits = list(CASES[case])
    text = graph.to_json(graph.waits(waits))
    random.Random(7).shuffle(waits)
    assert graph.to_json(graph.waits(waits)) == text
    again = nx.node_link_graph(json.loads(text), edges="edges")
    assert nx.utils.graphs_equal(again, CASES[case].graph)


def test_the_graph_takes_any_waits_and_nothing_else() -> None:
    assert sorted(graph.waits(w for w in [wait("a", "b", "b")]).edges(keys=True)) == [("a", "b", 0)]
    found = graph.waits([wait("b", "d", "c", "a"), wait("a", "d", "b")])
    assert list(found.edges) == sorted(found.edges)
    assert list(found) == ["a", "b", "c", "d"]
    with pytest.raises(TypeError, match="is no Wait"):
        graph.waits(["a"])  # type: ignore[list-item]


def test_a_wait_without_more_is_as_it_was() -> None:
    old = Wait("a", "quiet", (), 0.0, "s")
    assert (old.on, old.idle) == ((), False)
    assert room("a").what == "room to send at a:listen_to"
