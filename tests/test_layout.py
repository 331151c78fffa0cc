"""The router view as data: what stands where, what it says, and that nothing touches."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TypeVar

import pytest
from builder import count_made
from collisions import collisions
from router_cases import CASES, LONG, Made, crowded, declared, many, master, mesh, sides, unrouted
from server_cases import (
    SERVERS,
    http_service,
    http_worker,
    hub,
    joined,
    pipeline,
    stream,
    tee,
)

import pylm_lab
from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.metrics import advance, clean, fit, shorten
from pylm_lab.draw.scene import Badge, Box, Disc, Item, Line, Mark, Pill, Scene, Text
from pylm_lab.draw.style import COLUMN, FORMATS, THEMES
from pylm_lab.errors import LabError, WiringError
from pylm_lab.trace import Trace

T = TypeVar("T", Box, Disc, Line, Mark, Pill, Badge, Text)


def all_of(scene: Scene, kind: type[T]) -> dict[str, T]:
    """The items of a kind by id."""
    return {item.id: item for item in scene.items if isinstance(item, kind)}


def texts(scene: Scene) -> dict[str, str]:
    """What is written, by id."""
    return {id: item.text for id, item in all_of(scene, Text).items()}


# ---------------------------------------------------------------------------------- nothing touches


@pytest.mark.parametrize("format", list(FORMATS))
@pytest.mark.parametrize("case", list(CASES))
def test_nothing_touches(case: str, format: str) -> None:
    scene = router_scene(CASES[case](), format=format)  # type: ignore[arg-type]
    assert collisions(scene) == []


@pytest.mark.parametrize("format", list(FORMATS))
@pytest.mark.parametrize("case", list(SERVERS))
def test_nothing_touches_whichever_server_is_drawn(case: str, format: str) -> None:
    made, server = SERVERS[case]
    assert collisions(router_scene(made(), server=server, format=format)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("format", list(FORMATS))
def test_nothing_touches_however_a_server_is_wired(format: str, scale: int) -> None:
    found = {
        seed: collisions(router_scene(mesh(seed), format=format))  # type: ignore[arg-type]
        for seed in range(60 * scale)
    }
    assert {seed: lines for seed, lines in found.items() if lines} == {}


def moved(id: str, dx: float, dy: float) -> Callable[[Item], Item]:
    """An item of this id elsewhere."""

    def move(item: Item) -> Item:
        if item.id != id:
            return item
        if isinstance(item, Line):
            return replace(item, points=tuple((x + dx, y + dy) for x, y in item.points))
        return replace(item, x=item.x + dx, y=item.y + dy)

    return move


def larger(id: str, times: float) -> Callable[[Item], Item]:
    """A text of this id, larger."""
    return lambda item: (
        replace(item, size=item.size * times) if isinstance(item, Text) and item.id == id else item
    )


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (moved("worker1.name", -12, 0), "worker1.name touches the disc worker1"),
        (moved("worker1.name", 0, 30), "worker1.name touches the line "),
        (moved("server.Pull.status", 0, -9), "server.Pull.name touches server.Pull.status"),
        (moved("server.Pull.name", 48, 0), "server.Pull.name touches the border of server.Pull"),
        (moved("title", -11, 0), "title leaves the page"),
        (moved("client.name", 0, -15), "client.name touches the line "),
        (moved("row1.badge", 0, -66), "row1.badge touches row2.badge"),
        (moved("row1.badge", 6, -66), "row1.badge lies on row2.wire"),
        (moved("server.Pull:outer.mark", 0, -66), "mark touches server.Pull:outer.mark"),
        (moved("server.Pull:outer.bottom.client", 60, 0), "runs through server.Pull"),
        (moved("server.WorkerPull.inner", 0, 66), "run on top of each other"),
        (moved("legend.rule", 0, -25), "client.name touches the line legend.rule"),
        (larger("client.count", 2.2), "client.count touches the disc client"),
        (larger("frame.caption", 1.3), "frame.caption overflows its paper"),
        (larger("row1.to", 6), "touches row1.to"),
    ],
)
def test_what_touches_is_found(change: Callable[[Item], Item], found: str) -> None:
    """The function above sees each kind of collision."""
    scene = router_scene(master())
    wrong = replace(scene, items=tuple(change(item) for item in scene.items))
    assert wrong.items != scene.items
    assert any(found in line for line in collisions(wrong)), collisions(wrong)


def test_a_picture_of_a_long_run_makes_no_event_for_each_hop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pylm_lab.trace.columns.KEPT", 0)  # as if it were a long one
    trace = pylm_lab.scenarios["parallel"].run(seed=1, messages=100)
    assert len(trace.hops) > 700
    made = count_made(monkeypatch)
    router_scene(trace)
    assert made["Events"] < 100


def test_a_long_count_makes_its_pill_and_the_page_wider() -> None:
    pills = all_of(router_scene(CASES["thousands"]()), Pill)
    wide = pills["server.Pull:outer.bottom.count"]
    assert wide.text == "1,200"
    assert wide.w > all_of(router_scene(master()), Pill)["server.Pull:outer.bottom.count"].w
    # Two lanes with losses need more room than two without.
    calm, lossy = (crowded(2, workers=2, clients=0, lost=lost) for lost in (False, True))
    assert router_scene(lossy).width > router_scene(calm).width


# -------------------------------------------------------------------------------- who stands where


def test_parts_that_face_the_workers_stand_on_top() -> None:
    for trace in (master(), declared()):
        boxes = all_of(router_scene(trace), Box)
        above = {boxes[f"server.{name}"].y for name in ("WorkerPull", "WorkerPush")}
        below = {boxes[f"server.{name}"].y for name in ("Pull", "Pub")}
        assert len(above) == len(below) == 1
        assert max(above) < min(below)


def test_rows_are_ordered_so_that_wires_need_not_cross() -> None:
    """In1 to In6 go to Out2, Out4, Out6, Out2, Out4, Out6, and none of these wires crosses."""
    scene = router_scene(sides(6, 6))
    ends = [line.points for id, line in all_of(scene, Line).items() if id.endswith(".wire")]
    assert len(ends) == 6
    heights = sorted((points[0][1], points[-1][1]) for points in ends)
    assert [b for _, b in heights] == sorted(b for _, b in heights)


def test_a_wire_between_two_parts_of_one_height_is_level() -> None:
    wire = all_of(router_scene(many()), Line)["row3.wire"]
    assert {y for _, y in wire.points} == {all_of(router_scene(many()), Box)["server.Sub"].y + 23}
    # Also where another comes to the same part.
    wires = all_of(router_scene(CASES["mixed"]()), Line)
    assert len({y for _, y in wires["row1.wire"].points}) == 1
    assert wires["row2.wire"].points[-1][1] == wires["row1.wire"].points[-1][1] + 13


def test_wires_meet_the_bars_apart_from_each_other() -> None:
    shapes = [*(CASES[case]() for case in CASES), *(mesh(seed) for seed in range(60))]
    for trace in shapes:
        scene = router_scene(trace)
        field = all_of(scene, Box)["field"]
        wires = [line for id, line in all_of(scene, Line).items() if id.endswith(".wire")]
        ends = [line.points[n] for line in wires if line.id.startswith("row") for n in (0, -1)]
        for n, (x, y) in enumerate(ends):
            assert field.y + 4 <= y <= field.y + field.h - 4
            for u, v in ends[:n]:
                assert x != u or abs(y - v) >= 12.9


def test_a_hook_shows_its_number_where_no_wire_crosses_it() -> None:
    scene = router_scene(CASES["hooks"]())
    badges, wires = all_of(scene, Badge), all_of(scene, Line)
    crossing = wires["row2.wire"].points[-1][1]
    hook = [y for _, y in wires["row4.wire"].points]
    assert min(hook) < crossing < max(hook), "the case is one"
    assert abs(badges["row4.badge"].y - crossing) >= badges["row4.badge"].r + 4


def test_more_than_six_workers_are_three_and_a_stack_with_the_sum() -> None:
    six, seven, twelve = (router_scene(CASES[f"{n} workers"]()) for n in ("six", "seven", "twelve"))
    assert texts(seven)["worker4.stack.name"] == "4 more"
    assert sum(id.endswith(".count") for id in all_of(six, Text) if id.startswith("worker")) == 6
    said = texts(twelve)
    assert [said[f"worker{k}.name"] for k in (1, 2, 3)] == ["worker1", "worker2", "worker3"]
    assert said["worker4.stack.name"] == "9 more"
    assert said["worker4.stack.count"] == "24"
    assert "worker5.count" not in said
    shared = {twelve.runs["server.WorkerPush", f"worker{k}"] for k in range(4, 13)}
    assert len(shared) == 1
    assert len({twelve.homes[f"worker{k}"] for k in range(4, 13)}) == 1
    assert {twelve.counts[f"worker{k}", ""] for k in range(4, 13)} == {"worker4.stack.count"}


def test_each_client_has_a_rung_of_its_own() -> None:
    scene = router_scene(master(9, clients=2))
    discs = all_of(scene, Disc)
    assert discs["client1"].x == discs["client2"].x == scene.width / 2
    assert discs["client1"].y < discs["client2"].y
    ends = [scene.runs[f"client{k}", "server.Pull"] for k in (1, 2)]
    assert ends[0][1:3] != ends[1][1:3]
    assert {end[-1] for end in ends} == {scene.runs["client1", "server.Pull"][-1]}
    assert texts(router_scene(master(27, clients=9)))["client3.stack.name"] == "7 more"


def test_who_talks_to_one_part_only_stands_beside_it() -> None:
    scene = router_scene(many())
    discs, boxes = all_of(scene, Disc), all_of(scene, Box)
    for peer, part in (("server server0", "Sub"), ("web worker", "HttpConnection")):
        box = boxes[f"server.{part}"]
        assert discs[peer].y == box.y + box.h / 2
    assert discs["server server0"].x < scene.width / 2 < discs["web worker"].x
    assert texts(scene)["server server0.name"] == "server0"


def test_up_to_three_beside_one_part_stand_below_each_other_and_more_are_a_stack() -> None:
    scene = router_scene(joined(3))
    discs, pub = all_of(scene, Disc), all_of(scene, Box)["server.Pub"]
    three = [discs[f"server pipeline{k}"] for k in (1, 2, 3)]
    assert len({disc.x for disc in three}) == 1
    assert three[0].y < three[1].y == pub.y + pub.h / 2 < three[2].y
    lost = all_of(scene, Pill)["server.Pub:outer.side.lost"]
    assert lost.y - lost.h / 2 > COLUMN.top - 4, "what stands above the first row has its room"
    two = texts(router_scene(joined(2, name="counting-server")))
    assert two["server counting-server1.name"] == "counting-server1", "the page is made wider"
    five = router_scene(joined(5))
    assert texts(five)["server pipeline1.stack.name"] == "5 servers"
    assert texts(five)["server pipeline1.stack.count"] == "11"


def test_a_topic_that_is_no_name_of_a_server_is_written_on_its_wire() -> None:
    shown = texts(router_scene(stream()))
    wires = {id.split()[-1]: text for id, text in shown.items() if id.startswith("server.Pub:")}
    assert wires == {"even_server.pair": "even", "odd_server.pair": "odd"}
    assert "odd" in texts(router_scene(stream(), server="odd_server")).values()
    # Here each topic is the name of who gets it, or of who publishes.
    assert not [id for id in texts(router_scene(joined(3))) if id.startswith("server.Pub:")]
    assert "PUB → SUB" not in texts(router_scene(pipeline())).values()


def test_parts_stand_in_the_wall_and_bypass_parts_in_the_lower_one() -> None:
    boxes = all_of(router_scene(master()), Box)
    frame = boxes["frame"]
    for id, box in boxes.items():
        if box.role == "part" and not id.startswith("legend"):
            left, right = box.x < frame.x < box.x + box.w, box.x < frame.x + frame.w < box.x + box.w
            lower = box.y < frame.y + frame.h < box.y + box.h
            assert (left, right, lower).count(True) == 1, id
            assert box.dashed == lower


def test_left_and_right_mirror_each_other() -> None:
    scene = router_scene(master())
    boxes = all_of(scene, Box)
    for a, b in (("Pull", "Pub"), ("WorkerPull", "WorkerPush")):
        left, right = boxes[f"server.{a}"], boxes[f"server.{b}"]
        assert left.x == scene.width - right.x - right.w
    assert scene.runs["client", "server.Pull"][1][0] == 44
    assert scene.runs["server.Pub", "client"][1][0] == scene.width - 44 == 656


def test_a_server_that_has_not_run_shows_its_parts_and_nothing_of_a_run() -> None:
    scene = router_scene(declared())
    assert not all_of(scene, Disc)
    assert not all_of(scene, Pill)
    assert not scene.counts
    said = texts(scene)
    assert said["server.Pull.status"] == "PULL binds"
    assert said["server.Pub.status"] == "PUB binds"
    assert "table.messages" not in said
    marks = {id for id, mark in all_of(scene, Mark).items() if mark.kind == "binds"}
    assert {"server.Pull:outer.mark", "server.Pub:outer.mark", "server.Cache:outer.mark"} <= marks


def test_what_has_no_route_ends_in_the_router() -> None:
    scene = router_scene(unrouted())
    said = texts(scene)
    assert said["server.Log.unrouted.to"] == "no route"
    assert said["server.Log.unrouted.count"] == "3"
    bar = all_of(scene, Box)["router.inbound.bar"]
    stop = all_of(scene, Line)["server.Log.stop"]
    assert {x for x, _ in stop.points} == {bar.x + bar.w / 2}
    assert "server.Pull.stop" not in all_of(scene, Line)


# -------------------------------------------------------------------------------------- what moves


@pytest.mark.parametrize("case", list(CASES))
def test_everything_that_moved_has_a_way_from_edge_to_edge(case: str) -> None:
    trace = CASES[case]()
    scene = router_scene(trace)
    shown = {actor.id for actor in trace.actors if actor.server in ("server", "stage2", "")}
    shown |= {actor.id for actor in trace.actors if actor.id in scene.homes}
    links = {hop.link for hop in trace.hops if all(hop.link) and shown.issuperset(hop.link)}
    own = {actor.server for actor in trace.actors if actor.role == "router"} - {"server0"}
    seen = [link for link in links if own & {a.split(".")[0] for a in link}]
    assert [link for link in sorted(seen) if link not in scene.runs] == []
    for run in (*scene.runs.values(), *scene.row_runs.values()):
        assert len(run) >= 2
        assert all(math.dist(a, b) > 0 for a, b in pairwise(run)), "no piece without length"


def test_a_message_moves_on_without_a_jump() -> None:
    """Through the bar, then along the wire of the row that decided."""
    trace = many(lost=())
    scene = router_scene(trace)
    boxes = all_of(scene, Box)
    router = "server.router"
    for row in trace.routes:
        source, target = row.source, row.target
        way = scene.row_runs[source, target]
        assert scene.runs[source, router][-1] == pytest.approx(way[0], abs=13.5)
        assert way[-1][0] == boxes[target].x
        assert way[-1][1] == boxes[target].y + boxes[target].h / 2
    # Two rows lead to Pub, by different wires.
    by_row = scene.row_runs["server.WorkerPull", "server.Pub"]
    assert by_row != scene.row_runs["server.HttpConnection", "server.Pub"]
    assert scene.runs[router, "server.Pub"] == by_row
    # Sub waits, so its answer comes back along its row; Pull's acknowledgement from the near bar.
    back = scene.runs[router, "server.Sub"]
    assert back[0] == pytest.approx(scene.runs["server.HttpConnection", router][-1])
    assert back[-1] == scene.runs["server.Sub", router][0]
    assert scene.runs[router, "server.Pull"] == scene.runs["server.Pull", router][::-1]


def test_a_row_is_drawn_along_its_run() -> None:
    scene = router_scene(master())
    wire = all_of(scene, Line)["row1.wire"]
    run = scene.row_runs["server.Pull", "server.WorkerPush"]
    assert run[1:3] == wire.points[1:3]


def test_who_asks_the_cache_has_a_way_to_it_and_back() -> None:
    scene = router_scene(master())
    for actor in ("client", "worker1", "worker2"):
        there, back = scene.runs[actor, "server.Cache"], scene.runs["server.Cache", actor]
        assert there == back[::-1]
    disc = all_of(scene, Disc)["client"]
    assert scene.runs["client", "server.Cache"][0] == (disc.x, disc.y - disc.r)
    assert scene.runs["worker1", "server.Cache"] == scene.runs["worker2", "server.Cache"]


@pytest.mark.parametrize("case", list(CASES))
def test_each_actor_of_the_picture_has_a_corner_for_its_messages(case: str) -> None:
    scene = router_scene(CASES[case]())
    parts = {
        id for id, box in all_of(scene, Box).items() if box.role == "part" and "legend" not in id
    }
    assert parts == set(scene.status) <= set(scene.homes)
    assert {id.partition(".")[0] for id in scene.status} == {scene.alt and min(parts).split(".")[0]}


@pytest.mark.parametrize("case", list(CASES))
def test_each_name_for_what_changes_is_that_of_an_item(case: str) -> None:
    scene = router_scene(CASES[case]())
    ids = Counter(item.id for item in scene.items)
    assert [id for id, n in ids.items() if n > 1] == []
    named = [*scene.status.values(), *scene.counts.values()]
    named += [id for row in scene.rows.values() for id in row]
    assert [id for id in named if id not in ids] == []
    assert set(scene.rows) >= set(scene.row_runs)
    for background, *rest in scene.rows.values():
        assert all_of(scene, Box)[background].role == "lit"
        assert [id.rpartition(".")[2] for id in rest][:4] == ["number", "from", "sign", "to"]


@pytest.mark.parametrize(
    "case", ["master", "many, small", "three clients", "seven workers", "gateway"]
)
def test_a_count_is_the_sum_over_its_keys(case: str) -> None:
    """So who steps through the trace can count on, and ends at what the picture shows."""
    trace = CASES[case]()
    scene = router_scene(trace)
    bypass = {actor.id for actor in trace.actors if actor.kind == "CacheService"}
    sent = Counter(
        hop.link for hop in trace.hops_of("message", "request") if not bypass.intersection(hop.link)
    )
    own = {actor.id for actor in trace.actors if actor.server == "server"}
    got = Counter[str]()
    for (source, target), n in sent.items():
        if source in own:
            got[target] += n
    sums = Counter[str]()
    for (source, target), id in scene.counts.items():
        if target:
            sums[id] += sent[source, target]
        elif got[source]:
            sums[id] += got[source]
    shown = {
        item.id: int(item.text.replace(",", ""))
        for item in scene.items
        if isinstance(item, (Pill, Text)) and item.id in sums
    }
    rows = {ids[-1] for ids in scene.rows.values()}
    assert {id: n for id, n in sums.items() if n and id not in rows} == {
        id: n for id, n in shown.items() if sums[id] and id not in rows
    }
    assert len(sums) > 5


def test_a_row_counts_what_the_router_handed_on_for_it() -> None:
    said = texts(router_scene(many()))
    assert [said[f"row{n}.count"] for n in (1, 2, 3, 4)] == ["33", "32", "4", "4"]
    assert [said[f"row{n}.sign"] for n in (1, 2, 3, 4)] == ["→", "→", "⇄", "⇢"]


# ------------------------------------------------------------------------------------- what is lost


@pytest.mark.parametrize(
    ("case", "pill", "words"),
    [
        ("lost", "server.WorkerPush:outer.top.lost", "1 lost between WorkerPush and worker1"),
        (
            "dropped",
            "server.WorkerPush:outer.top.lost",
            "1 lost between WorkerPush and the workers",
        ),
        ("lost back", "server.WorkerPull:outer.top.lost", "2 lost in two places"),
        ("lost inside", "row1.lost", "1 lost between the router and WorkerPush"),
        ("lost on the way out", "server.Pub:outer.bottom.lost", "1 lost between Pub and client"),
        ("lost everywhere", "server.WorkerPush:outer.top.lost", "9 lost in five places"),
    ],
)
def test_a_loss_is_shown_where_it_happened_and_said(case: str, pill: str, words: str) -> None:
    trace = CASES[case]()
    scene = router_scene(trace)
    lost = [id for id, item in all_of(scene, Pill).items() if item.role == "lost" and item.text]
    assert pill in lost
    assert case == "lost everywhere" or len(lost) == 1
    assert words.replace("worker1", "the workers") in scene.subtitle
    assert "lost" in scene.alt
    assert "legend.lost" in texts(scene)


def test_what_is_on_its_way_is_not_lost() -> None:
    scene = router_scene(CASES["under way"]())
    assert scene.subtitle.startswith("10 in, 8 out, 2 on the way, nothing lost.")
    assert not [pill for pill in all_of(scene, Pill).values() if pill.role == "lost"]


def test_nothing_lost_has_no_mark() -> None:
    scene = router_scene(master())
    assert scene.subtitle == "10 in, 10 out, nothing lost. Follow 1, then 2."
    assert "legend.lost" not in texts(scene)


# ------------------------------------------------------------------------------------------ colours


def roles(scene: Scene, *ids: str) -> set[str]:
    lines = all_of(scene, Line)
    return {lines[id].role for id in ids}


def test_a_row_has_one_colour_from_outside_to_outside() -> None:
    scene = router_scene(master())
    way = ["server.Pull:outer.bottom.client", "server.Pull.inner", "row1.in", "row1.wire"]
    way += ["row1.out", "server.WorkerPush.inner", "server.WorkerPush:outer.top.worker1"]
    assert roles(scene, *way) == {"row1"}
    badges = all_of(scene, Badge)
    assert badges["row1.badge"].role == badges["row1.number"].role == "row1"


def test_what_rows_share_is_ink_and_what_none_uses_is_muted() -> None:
    assert roles(router_scene(many()), "server.Pub.inner", "server.Pub:outer.bottom.client") == {
        "ink"
    }
    scene = router_scene(unrouted())
    assert roles(scene, "server.Log.inner", "server.Log:outer.bottom.client") == {"muted"}


def test_four_colours_then_again() -> None:
    scene = router_scene(sides(6, 6))
    badges = all_of(scene, Badge)
    found = [badges[f"row{n}.badge"].role for n in range(1, 7)]
    assert found == ["row1", "row2", "row3", "row4", "row1", "row2"]


def test_the_themes_are_those_of_the_visual_language() -> None:
    light, dark = THEMES["light"], THEMES["dark"]
    assert (light.paper, light.box, light.ink) == ("#FFFFFF", "#EEF2F6", "#1A1F24")
    assert (dark.paper, dark.box, dark.ink) == ("#12161B", "#232B34", "#EDF1F5")
    assert light.rows == ("#0072B2", "#009E73", "#CC79A7", light.ink)
    assert dark.rows == ("#56B4E9", "#009E73", "#CC79A7", dark.ink)
    for case in CASES.values():
        for item in router_scene(case()).items:
            if not isinstance(item, (Mark, Text)):
                assert item.role in {*light.strokes, *light.fills}
            if isinstance(item, Text):
                assert item.role in light.texts


# -------------------------------------------------------------------------------------------- words


def test_the_picture_says_what_to_look_at() -> None:
    scene = router_scene(master())
    assert scene.title == "Inside the master: ten messages, two workers"
    assert texts(scene)["title"] == scene.title
    assert texts(scene)["subtitle"] == scene.subtitle
    assert router_scene(declared()).title == "server: a router and four parts"
    assert router_scene(many()).title == "Inside server, a hub: 37 messages, twelve workers"
    assert router_scene(CASES["gateway"]()).title.startswith(
        "Inside the microservice: ten messages"
    )
    assert router_scene(CASES["gateway"]()).subtitle.startswith("10 in, 10 out, nothing lost.")
    assert router_scene(unrouted()).subtitle.startswith("9 in, 6 out, 3 without a route")


def test_only_rows_that_continue_each_other_are_to_be_followed() -> None:
    assert "Follow" in router_scene(declared()).subtitle
    assert "Follow" not in router_scene(CASES["bundles"]()).subtitle
    assert "Follow" not in router_scene(many()).subtitle
    assert "Follow" not in router_scene(sides(3, 3)).subtitle


#: What is said of which server.
SAID: dict[str, tuple[Callable[[], Trace], str, str, str]] = {
    "the source of a tee": (
        tee,
        "server",
        "Inside the server",
        "out to pipeline1 (6) and pipeline2 (6);",
    ),
    "a branch": (tee, "pipeline2", "Inside pipeline2:", "came in from the server and 0 went out;"),
    "another name": (stream, "odd_server", "Inside odd_server, a pipeline:", "out to the client;"),
    "a sink": (
        partial(stream, sink=True),
        "sink",
        "Inside the sink:",
        "from even_server and odd_server and",
    ),
    "a hub": (
        hub,
        "hub",
        "Inside the hub:",
        "(5) and 10 from there to the client;",
    ),
    "a web worker": (
        http_worker,
        "server",
        "Inside the server:",
        "asked the web worker 8 times.",
    ),
}


@pytest.mark.parametrize("case", list(SAID))
def test_the_words_name_the_server_and_its_neighbours(case: str) -> None:
    made, server, title, told = SAID[case]
    scene = router_scene(made(), server=server)
    assert scene.title.startswith(title)
    assert told in scene.alt


def test_who_speaks_http_and_is_not_recorded_is_drawn_by_what_parts_heard_of_it() -> None:
    asked = router_scene(http_worker(recorded=False))
    assert asked.subtitle == "8 in, 8 out, nothing lost. Follow 1, then 2."
    assert asked.alt.endswith("none was lost. Http asked the web worker 8 times.")
    peer = all_of(asked, Disc)["server.Http:outer peer"]
    part = all_of(asked, Box)["server.Http"]
    assert peer.y == part.y + part.h / 2
    answered = router_scene(http_service())
    assert texts(answered)["server.HttpService:outer peer.name"] == "web client"
    assert "8 messages went from the web client to worker1 (4)" in answered.alt


@pytest.mark.parametrize("name", ["gateway", "http"])
def test_a_run_with_http_is_drawn_the_same_each_time(name: str) -> None:
    """It runs free, so all that is drawn is the wiring, and counts."""
    one, two = (router_scene(pylm_lab.scenarios[name].run()) for _ in range(2))
    assert repr(one) == repr(two)
    assert collisions(one) == []


def test_a_gateway_asks_its_router_below_it_and_the_way_back_runs_below_the_table() -> None:
    scene = router_scene(pylm_lab.scenarios["gateway"].run())
    boxes, shown = all_of(scene, Box), texts(scene)
    assert scene.width == 700
    assert boxes["server.HttpGateway"].x == boxes["server.gateway_router"].x
    assert shown["server.HttpGateway.status"] == "HTTP binds"
    assert shown["server.HttpGateway.server.gateway_router.pair"] == "REQ"
    assert shown["server.gateway_dealer.server.gateway_router.pair"] == "DEALER → ROUTER"
    assert scene.subtitle.endswith("Follow 1, then 2; the way back runs below the table.")
    assert "4 messages went from the browser to worker1 (2) and worker2 (2) and back" in scene.alt


def test_rows_that_meet_are_said_to() -> None:
    subtitle = router_scene(stream(sink=True), server="sink").subtitle
    assert subtitle == "7 in, 7 out, nothing lost. Rows 1 and 2 meet at Pub."


def test_title_and_subtitle_may_be_given() -> None:
    scene = router_scene(master(), title="A title", subtitle="")
    assert (scene.title, scene.subtitle) == ("A title", "")
    assert texts(scene)["title"] == "A title"


def test_the_alt_text_tells_all_of_it() -> None:
    assert router_scene(master()).alt == (
        "Master server: inbound parts Pull and WorkerPull, outbound parts WorkerPush and Pub,"
        " around a router. Pull routes to WorkerPush, WorkerPull to Pub. The cache is bypass."
        " In this run 10 messages went from the client to worker1 (5) and worker2 (5) and back;"
        " none was lost."
    )
    assert router_scene(declared()).alt.endswith("WorkerPull to Pub. The cache is bypass.")
    alt = router_scene(many()).alt
    assert "Sub to HttpConnection and waits for its feedback" in alt
    assert "the feedback of HttpConnection goes on to Pub" in alt
    assert "1 was lost between WorkerPush and the workers" in alt or "1 was lost" in alt
    assert " Log has no route." in router_scene(unrouted()).alt
    assert "Store1 and Store2 are bypass." in router_scene(sides(1, 1, 2)).alt


def test_a_long_name_is_whole_in_the_alt_text_and_short_in_its_box() -> None:
    scene = router_scene(CASES["long names"]())
    said = texts(scene)
    short = said[f"{next(id for id in scene.status if id.endswith(LONG))}.name"]
    assert "…" in short
    assert short[0] == LONG[0]
    assert short[-1] == LONG[-1]
    assert LONG in scene.alt
    assert scene.width > 700, "the table widens the page"
    assert router_scene(master()).width == 700


def test_the_legend_tells_the_marks_that_occur() -> None:
    def legend(trace: Trace) -> set[str]:
        return {id.split(".")[1] for id in texts(router_scene(trace)) if id.startswith("legend.")}

    usual = {"binds", "connects", "blocks", "bypass", "program", "both", "row", "count"}
    assert legend(master()) == usual
    assert legend(master(lost=(1,))) == usual | {"lost"}
    assert legend(declared(cache=False)) == {"binds", "row"}


def test_a_slide_has_larger_type_and_neither_title_nor_legend() -> None:
    column, slide = router_scene(master()), router_scene(master(), format="slide")
    assert (slide.width, slide.height) == (800, 450)
    assert not [id for id in texts(slide) if id == "title" or id.startswith("legend")]
    for scene, apart in ((column, 66), (slide, 54)):
        boxes = all_of(scene, Box)
        assert boxes["server.Pull"].y - boxes["server.WorkerPull"].y == apart
    for id in ("server.Pull.name", "server.Pull.status", "worker1.name", "row1.from"):
        sizes = [all_of(scene, Text)[id].size for scene in (slide, column)]
        assert sizes[0] / sizes[1] == pytest.approx(1.18, abs=0.01)
    assert slide.alt == column.alt


def test_hostile_names_are_cut_and_cleaned() -> None:
    scene = router_scene(CASES["hostile names"]())
    for item in scene.items:
        if isinstance(item, (Text, Pill, Badge)):
            assert len(item.text) <= 450
            assert all(c.isprintable() for c in item.text), repr(item.text)
    assert len(scene.alt) < 2000
    assert "\\x1b" in scene.alt


# --------------------------------------------------------------------------------- which server


def two_servers() -> Trace:
    m = Made(server="first")
    for name in ("first", "second"):
        m.server = name
        m.router()
        m.part("Pull", "inbound", "PullService", "PULL binds")
        m.part("Pub", "outbound", "PubService", "XPUB binds")
        if name == "second":
            m.part("Log", "bypass", "PullBypass", "PULL binds")
        m.route("Pull", "Pub")
    return m.recorder.trace


def test_the_first_server_is_drawn_unless_another_is_named() -> None:
    trace = two_servers()
    assert "server: first" not in router_scene(trace).title
    assert router_scene(trace).title == "first: a router and two parts"
    assert set(router_scene(trace).status) == {"first.Pull", "first.Pub"}
    assert set(router_scene(trace, server="second").status) >= {"second.Pull", "second.Log"}


def test_an_unknown_server_is_told_with_those_there_are() -> None:
    with pytest.raises(WiringError, match=r"no server 'third' in this trace.*'first', 'second'"):
        router_scene(two_servers(), server="third")
    with pytest.raises(WiringError, match=r"no server 'secnd' in this trace: did you mean 'second"):
        router_scene(two_servers(), server="secnd")


def test_an_empty_trace_is_told() -> None:
    with pytest.raises(LabError, match="there is nothing to draw: this trace has nothing in it"):
        router_scene(Trace())


def test_a_trace_without_a_server_is_told() -> None:
    m = Made()
    m.actor("worker1", "worker1", "worker", "Worker", [("pull", "PULL connects")])
    with pytest.raises(LabError, match="no server among its actors"):
        router_scene(m.recorder.trace)


def test_an_unknown_format_is_told_with_those_there_are() -> None:
    with pytest.raises(LabError, match=r"no format 'poster': choose one of 'column', 'slide'"):
        router_scene(master(), format="poster")  # type: ignore[arg-type]


def test_links_over_tcp_are_found_where_a_bind_leaves_the_host_open() -> None:
    m = Made()
    m.router()
    m.part("Pull", "inbound", "PullService", "PULL binds")
    m.part("Push", "outbound", "PushService", "PUSH binds")
    for name in ("near", "far", "other"):
        socket = "PULL" if name == "other" else "PUSH"
        m.actor(name, name, "client", "Client", [("push", f"{socket} connects")])
    m.recorder.port_bound(m.ports["server.Pull:outer"], "tcp://*:5001", 1)
    m.recorder.port_bound(m.ports["server.Push:outer"], "tcp://127.0.0.1:5002", 2)
    m.recorder.port_connected(m.ports["near:push"], "tcp://localhost:5001", 3)
    m.recorder.port_connected(m.ports["far:push"], "tcp://10.0.0.7:5001", 4)
    m.recorder.port_connected(m.ports["other:push"], "tcp://10.0.0.7:5002", 5)
    runs = router_scene(m.recorder.trace).runs
    assert {a for a, b in runs if b == "server.Pull"} == {"near", "far", "server.router"}
    assert {b for a, b in runs if a == "server.Push"} == {"server.router"}


# ------------------------------------------------------------------------------------ determinism


@pytest.mark.parametrize("case", ["master", "many", "two ports", "six each"])
def test_the_same_trace_gives_the_same_scene(case: str) -> None:
    assert repr(router_scene(CASES[case]())) == repr(router_scene(CASES[case]()))


def test_no_hash_seed_and_no_drawing_library_has_a_say() -> None:
    code = (
        "import sys, zlib; from router_cases import CASES;"
        "from pylm_lab.draw.layout import router_scene;"
        "print(zlib.crc32(repr([router_scene(CASES[c]()) for c in sorted(CASES)]).encode()));"
        "print([m for m in ('matplotlib', 'networkx', 'IPython') if m in sys.modules])"
    )
    said = set()
    for seed in ("0", "1", "77"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == 0, done.stderr
        said.add(done.stdout)
    assert len(said) == 1
    assert said.pop().endswith("\n[]\n")


# ------------------------------------------------------------------------------------------ metrics


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain name", "plain name"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[0m", "\\x1b[0m"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        ("x\u0301\u0301\u0301", "x\u0301"),
        ("a\u00a0b\u2028c", "a b\\u2028c"),
    ],
)
def test_a_text_is_made_safe_to_draw(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_an_endless_text_is_cut_before_it_is_looked_at() -> None:
    assert len(clean("x" * 200_000)) == 401
    assert len(clean("\u202e" * 200_000)) <= 401 * 6


def test_what_does_not_fit_is_smaller_then_shortened_in_the_middle() -> None:
    assert fit("Pull", 100, (13, 11), True) == ("Pull", 13)
    assert fit("HttpConnection", 102, (13, 11), True) == ("HttpConnection", 11)
    text, size = fit("gateway_connection_of_the_first_floor", 102, (13, 11), True)
    assert size == 11
    assert text.startswith("gatew")
    assert text.endswith("floor")
    assert advance(text, size, True) <= 102
    assert shorten("abc", 1, 11) == "…"
