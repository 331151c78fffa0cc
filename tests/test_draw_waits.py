"""The wait-for view: every debt is an arrow, the circle is numbered, and nothing touches."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import pytest
from collisions import Rect, box, collisions, segments
from waits_cases import CASES, idle, ring, room, wait, wild

from pylm_lab.draw.scene import Badge, Box, Line, Mark, Scene, Text
from pylm_lab.draw.waits import waits_scene
from pylm_lab.draw.waits.plan import plan
from pylm_lab.waits import Wait, Waits

FORMATS: tuple[Literal["column"], Literal["slide"]] = ("column", "slide")
ALL = {**CASES, **{f"wild {seed}": wild(seed) for seed in range(12)}}


def scene(case: str) -> Scene:
    return waits_scene(ALL[case])


def cards(found: Scene) -> dict[str, Rect]:
    """The boxes of actors with a place in the picture, by the id of the actor."""
    return {
        item.id.removeprefix("card."): box(item)
        for item in found.items
        if isinstance(item, Box) and item.id.startswith("card.")
    }


def texts(found: Scene) -> dict[str, str]:
    return {item.id: item.text for item in found.items if isinstance(item, Text)}


def lines(found: Scene, start: str) -> list[Line]:
    return [i for i in found.items if isinstance(i, Line) and i.id.startswith(start)]


# ------------------------------------------------------------------------------------- what touches


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("case", ALL)
def test_nothing_touches(case: str, format: Literal["column", "slide"]) -> None:
    found = waits_scene(ALL[case], format=format)
    assert collisions(found) == []
    assert through_cards(found) == []


@pytest.mark.timeout(240)
def test_nothing_touches_whoever_waits_for_whom(scale: int) -> None:
    for seed in range(100, 100 + 30 * scale):
        found = waits_scene(wild(seed), format=FORMATS[seed % 2])
        assert (seed, [*collisions(found), *through_cards(found)]) == (seed, [])


def through_cards(found: Scene) -> list[str]:
    """Cards on each other, and wires in any card (`collisions` looks at those of parts alone)."""
    known = cards(found)
    wrong = [
        f"{a} lies on {b}"
        for (a, p), (b, q) in combinations(known.items(), 2)
        if p.grown(4).meets(q.grown(4))
    ]
    for line in [*lines(found, "net"), *lines(found, "circle")]:
        wrong += [
            f"{line.id} runs through {actor}"
            for actor, rect in known.items()
            if any(rect.grown(-2.5).meets_segment(a, b, 0) for a, b, _ in segments(line))
        ]
    return wrong


# --------------------------------------------------------------------------------- what is an arrow


def ends(found: Scene) -> set[tuple[str, str]]:
    """Who waits for whom: the cards at the two ends of each arrow."""
    known = cards(found)

    def at(x: float, y: float) -> str:
        (actor,) = [a for a, r in known.items() if Rect(x, y, x, y).meets(r.grown(5))]
        return actor

    heads = {line.id.partition(".")[0]: line for line in lines(found, "net") if line.end}
    arrows = [line for line in lines(found, "net") if line.role != "paper"]
    tails = [line for line in arrows if not line.id.endswith(".way")]
    pairs = [(tail, heads[tail.id.partition(".")[0]]) for tail in tails]
    pairs += [(line, line) for line in lines(found, "circle")]
    return {(at(*tail.points[0]), at(*head.points[-1])) for tail, head in pairs}


@pytest.mark.parametrize("case", [c for c in ALL if c != "many alike"])
def test_every_debt_is_an_arrow_and_nothing_else_is(case: str) -> None:
    """Where several are one card, the card owes and is owed."""
    graph = ALL[case].graph
    of = {name: c.id for c in plan(graph).cards.values() for name in c.names}
    owed = {(of[w.actor], of[other]) for w in ALL[case].blocked for other in w.on}
    assert ends(scene(case)) == owed


def test_arrows_to_one_card_join_and_have_one_head() -> None:
    found = waits_scene(Waits([wait(f"client{n}", "server", what=f"{n}") for n in range(5)]))
    arrows = [line for line in lines(found, "net") if line.role != "paper"]
    assert len(arrows) == 6
    assert [line.id for line in arrows if line.end] == ["net000.way"]


@pytest.mark.parametrize("case", ["one", "two", "three", "four", "five", "nine"])
def test_the_circle_is_thick_orange_and_numbered(case: str) -> None:
    found, cycle = scene(case), ALL[case].cycle
    circle = lines(found, "circle")
    assert len(circle) == len(cycle)
    others = [line.width for line in lines(found, "net") if line.role != "paper"]
    assert {line.role for line in circle} == {"blocks"}
    assert min(line.width for line in circle) > 2 * max(others, default=0)
    badges = [i for i in found.items if isinstance(i, Badge) and i.id.startswith("circle")]
    assert [badge.text for badge in badges] == [str(n + 1) for n in range(len(cycle))]
    for line, badge in zip(circle, badges, strict=True):
        assert any(
            Rect(badge.x, badge.y, badge.x, badge.y).grown(1).meets_segment(a, b, 0)
            for a, b, _ in segments(line)
        )


def test_the_circle_goes_round_with_the_clock() -> None:
    for n in range(3, 10):
        known = cards(waits_scene(Waits(ring(n))))
        middles = [
            ((r.x0 + r.x1) / 2, (r.y0 + r.y1) / 2) for r in (known[f"hub{k + 1}"] for k in range(n))
        ]
        pairs = zip(middles, [*middles[1:], middles[0]], strict=True)
        # With y down, twice the area within is positive the way a clock goes.
        assert sum(a * v - u * b for (a, b), (u, v) in pairs) > 0


def test_wires_keep_away_from_the_arrow_of_who_waits_for_itself() -> None:
    found = scene("one, with a way out")
    (loop,) = lines(found, "circle")
    assert loop.points[0][0] < loop.points[1][0]
    lanes = [x for line in lines(found, "net") for x, _ in line.points]
    assert max(lanes) > max(x for x, _ in loop.points) + 5
    left = cards(found)["proxy"].x1
    assert not [x for x in lanes if left < x < max(x for x, _ in loop.points) + 5]


def test_who_leads_into_the_circle_stands_over_it_and_idle_ends_below() -> None:
    known = cards(scene("three"))
    ring = ALL["three"].cycle
    assert known["client"].y1 < min(known[actor].y0 for actor in ring)
    assert known["worker1"].y0 > max(known[actor].y1 for actor in ring)
    known = cards(scene("two"))
    assert (
        known["client"].y1 < known["server.Pub"].y0 < known["server.Pub"].y1 < known["worker1"].y0
    )


def test_a_chain_goes_down() -> None:
    known = cards(scene("chain"))
    assert known["client"].y1 < known["server.Pub"].y0
    assert known["server.Pub"].y1 < known["server.router"].y0


def test_a_long_row_is_several() -> None:
    found = waits_scene(Waits([wait(f"client{n}", "server", what=f"{n}") for n in range(7)]))
    rows = sorted(round(rect.y0) for rect in cards(found).values())
    assert [rows.count(y) for y in sorted(set(rows))] == [2, 2, 3, 1]
    assert found.width == 700


def test_a_card_of_the_circle_that_waits_for_many_has_room_for_all_arrows() -> None:
    many = [f"server{n}.Part" for n in range(9)]
    # Each waits for something else, so they are no one card.
    others = [wait(name, what=f"message {n}") for n, name in enumerate(many)]
    for name in ("hub1", "hub2", "hub3"):
        start = [w for w in ring(3) if w.actor != name]
        (own,) = [w for w in ring(3) if w.actor == name]
        found = waits_scene(Waits([*start, room(name, *own.on, *many), *others, *idle("z")]))
        assert collisions(found) == []
        assert through_cards(found) == []


# ------------------------------------------------------------------------------ who looks like what


def test_bars_are_on_the_blocked_and_the_idle_are_muted() -> None:
    found = scene("fork")
    bars = {i.id for i in found.items if isinstance(i, Mark) and not i.id.startswith("legend")}
    assert bars == {f"card.{a}.blocks" for a in ("client", "server.Pub", "server.Pull")}
    roles = {i.id: i.role for i in found.items if isinstance(i, (Box, Text))}
    assert (roles["card.client"], roles["card.client.name"]) == ("part", "ink")
    assert (roles["card.worker1"], roles["card.worker1.name"]) == ("field", "muted")
    assert (roles["card.worker2"], roles["card.worker2.name"]) == ("field", "muted")
    dashed = [i.id for i in found.items if isinstance(i, Box) and i.dashed]
    assert dashed == ["card.worker2", "legend.away.mark"]


def test_a_card_says_what_it_waits_for_and_how_long() -> None:
    shown = texts(scene("three"))
    assert shown["card.client.name"] == "client"
    assert shown["card.client.line1"] == "room to send at listen_to"
    assert shown["card.client.line2"] == "for 7 steps"
    assert shown["card.worker1.line2"] == "idle for 3 steps"
    assert texts(scene("function"))["card.worker1.line1"] == "its function slow to return"
    assert texts(scene("fork"))["card.worker2.line1"] == "does not wait"


def test_a_long_wish_takes_two_lines_and_all_cards_grow() -> None:
    both = "a message at pub:broker or a subscription at pub:listen_to"
    waits = [Wait("pub", both, ("pub:broker", "pub:listen_to"), 3, "steps"), wait("client", "pub")]
    found = waits_scene(Waits(waits))
    shown = texts(found)
    assert [shown[f"card.pub.line{n}"] for n in (1, 2, 3)] == [
        "a message at broker",
        "or a subscription at listen_to",
        "for 3 steps",
    ]
    assert {round(rect.y1 - rect.y0) for rect in cards(found).values()} == {77}
    assert {round(rect.y1 - rect.y0) for rect in cards(scene("fork")).values()} == {62, 61}
    assert collisions(found) == []


def test_who_waits_alike_is_one_card() -> None:
    found = scene("many alike")
    assert set(cards(found)) == {"client0", "server.Pull", "worker0"}
    shown = texts(found)
    assert shown["card.client0.name"] == "client0 and 11 more"
    assert shown["card.client0.line2"] == "for up to 11 steps"
    assert shown["card.worker0.name"] == "worker0 and 8 more"
    assert ends(found) == {("client0", "server.Pull"), ("server.Pull", "worker0")}


def test_so_are_those_between_the_same_two() -> None:
    middle = [f"part{n}" for n in range(5)]
    waits = [wait("client", *middle), *(wait(name, "worker") for name in middle)]
    found = waits_scene(Waits(waits))
    assert ends(found) == {("client", "part0"), ("part0", "worker")}
    away = texts(waits_scene(Waits([wait("client", *middle)])))
    assert away["card.part0.line1"] == "do not wait"


def test_who_waits_for_others_than_they_do_is_not_among_them() -> None:
    few = Waits([wait(f"client{n}", "a" if n < 3 else "b") for n in range(6)])
    assert set(cards(waits_scene(few))) >= {f"client{n}" for n in range(6)}


def test_who_is_idle_and_blocks_nobody_is_only_named() -> None:
    found = scene("five")
    shown = texts(found)
    names = [shown[id] for id in shown if id.startswith("idle.server")]
    assert names == [f"server{n}.WorkerPull" for n in range(12)]
    assert not any("WorkerPull" in actor for actor in cards(found))


def test_of_very_many_idle_ones_some_are_named() -> None:
    shown = texts(scene("many at rest"))
    assert sum(id.startswith("idle.worker") for id in shown) == 40
    assert shown["idle.caption"].endswith("40 of 60 are shown")


def test_only_marks_that_occur_are_explained() -> None:
    def legend(case: str) -> set[str]:
        shown = texts(scene(case))
        return {id.removeprefix("legend.") for id in shown if id.startswith("legend")}

    assert legend("nobody") == set()
    assert legend("at rest") == {"idle"}
    assert legend("chain") == {"blocks", "arrow", "idle"}
    assert legend("four") == {"blocks", "circle"}
    assert legend("fork") == {"blocks", "arrow", "idle", "away"}
