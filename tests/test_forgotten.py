"""What a record does not tell is said, and marked, on every picture that is made of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from builder import Build
from collisions import RESTING, box, collisions, segments
from PIL import Image
from router_cases import CASES, mesh
from server_cases import SERVERS

import pylm_lab as lab
from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.scene import Badge, Box, Disc, Line, Mark, Pill, Scene, Text
from pylm_lab.draw.style import FORMATS, THEMES
from pylm_lab.trace import Recorder, Trace
from pylm_lab.trace.show.gaps import gaps

FORGOTTEN = "12,345 earlier events are forgotten."
EARLY = "The records of Pull and worker1 end early."
_FORMATS: tuple[Any, ...] = tuple(FORMATS)


def whole() -> Trace:
    build = Build(schedule="seeded", seed=1).master()
    for n in range(1, 4):
        build.run(n, worker=f"worker{2 - n % 2}")
    return build.end()


@pytest.fixture(scope="module")
def complete() -> Trace:
    return whole()


@pytest.fixture(scope="module")
def partial() -> Trace:
    return replace(whole(), forgotten=12_345, cut=("server.Pull", "worker1"))


def written(scene: Scene) -> set[str]:
    return {item.text for item in scene.items if isinstance(item, Text)}


def cuts(scene: Scene) -> set[str]:
    """Whose edges are marked, the foot's own example aside."""
    marks = {i.id for i in scene.items if isinstance(i, Mark) and i.kind == "cut"}
    return {id.removesuffix(".cut") for id in marks} - {"gaps.cut"}


# ------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({}, []),
        ({"forgotten": 1}, ["1 earlier event is forgotten."]),
        ({"forgotten": 12_345}, [FORGOTTEN]),
        ({"cut": ("worker1",)}, ["The record of worker1 ends early."]),
        ({"cut": ("worker1", "server.Pull")}, [EARLY]),
        (
            {"forgotten": 2, "cut": ("client",)},
            ["2 earlier events are forgotten.", "The record of client ends early."],
        ),
    ],
)
def test_a_record_says_what_it_does_not_tell(
    complete: Trace, about: dict[str, Any], told: list[str]
) -> None:
    assert gaps(replace(complete, **about)) == told


def test_a_server_that_ends_early_as_a_whole_is_named_once(complete: Trace) -> None:
    parts = [actor.id for actor in complete.actors if actor.server]
    assert len(parts) > 4
    cut = (*parts, "worker2")
    assert gaps(replace(complete, cut=cut)) == ["The records of server and worker2 end early."]
    assert "server and" not in gaps(replace(complete, cut=cut[1:]))[0]


def test_of_many_it_names_some_and_counts_the_others(complete: Trace) -> None:
    every = tuple(actor.id for actor in complete.actors if not actor.server)
    names = [complete.labels[id] for id in every]
    trace = replace(complete, cut=every)
    more = len(every) - 1
    assert gaps(trace, 1) == [f"The records of {names[0]} and {more} more end early."]


def test_hostile_names_are_harmless() -> None:
    build = Build().master()
    build.actor("evil\x00\u202e\n" + "x" * 500, "worker")
    trace = replace(build.end(), cut=("evil\x00\u202e\n" + "x" * 500,))
    (sentence,) = gaps(trace)
    assert sentence.isprintable()
    assert len(sentence) < 100
    assert collisions(router_scene(trace)) == []


# ---------------------------------------------------------------------------------- the router view


@pytest.mark.parametrize("theme", list(THEMES))
@pytest.mark.parametrize("format", list(FORMATS))
def test_the_diagram_says_it_in_every_format(
    complete: Trace, partial: Trace, format: Any, theme: Any, tmp_path: Path
) -> None:
    picture = lab.draw(partial, format=format, theme=theme)
    assert {FORGOTTEN, EARLY} <= written(picture.scene)
    assert FORGOTTEN in picture.alt
    assert EARLY in picture.alt
    svg = picture.save(tmp_path / "it.svg").read_text(encoding="utf-8")
    assert f"{FORGOTTEN} {EARLY}</desc>" in svg
    with Image.open(picture.save(tmp_path / "it.png")) as png:
        assert FORGOTTEN in png.info["Description"]
    clear = lab.draw(complete, format=format, theme=theme)
    for text in (*written(clear.scene), clear.alt):
        assert "forgotten" not in text
        assert "early" not in text
    assert not any(item.id.startswith("gaps") for item in clear.scene.items)


@pytest.mark.parametrize("format", list(FORMATS))
def test_whose_record_ends_early_is_marked_and_nobody_else(complete: Trace, format: Any) -> None:
    for cut in (("server.Pull", "worker1"), ("client", "server.Cache"), ("server.Pub",), ()):
        scene = router_scene(replace(complete, cut=cut), format=format)
        assert cuts(scene) == set(cut)
    scene = router_scene(replace(complete, cut=("server.router",)), format=format)
    assert cuts(scene) == {"router.inbound", "router.outbound"}


def test_another_server_is_marked_where_one_of_its_actors_ends_early() -> None:
    made, server = SERVERS["pipeline"]
    trace = made()
    shown = router_scene(trace, server=server)
    peer = next(i.id for i in shown.items if isinstance(i, Disc) and i.id.startswith("server "))
    one = next(a.id for a in trace.actors if f"server {a.server}" == peer)
    assert cuts(router_scene(replace(trace, cut=(one,)), server=server)) == {peer}


def test_a_title_of_ones_own_does_not_hide_it(partial: Trace) -> None:
    scene = router_scene(partial, title="All is well", subtitle="Nothing was lost.")
    assert {FORGOTTEN, EARLY} <= written(scene)


def test_what_is_not_known_is_not_claimed(complete: Trace) -> None:
    """What was sent to somebody whose record ends may have arrived, and may be lost."""
    build = Build().master()
    build.run(1)
    build.run(2, worker="worker2", until="server.WorkerPush:listen_to")
    trace = replace(build.trace, cut=("worker2",))
    scene = router_scene(trace)
    assert "1 not heard of again, no loss in the record" in scene.subtitle
    assert "1 was not heard of again, the record has no loss" in scene.alt
    assert "on the way" not in scene.subtitle + scene.alt
    assert "nothing lost" in router_scene(complete).subtitle


def test_what_nobody_named_may_have_received_is_not_lost_where_a_record_ends_early() -> None:
    """A publisher has ended, and one of its subscribers died without a word."""
    build = Build().master()
    build.run(1, until="server.Pub:listen_to")
    trace = build.end()
    # That it had subscribed is not in the record either; that it was connected is.
    kept = tuple(e for e in trace.events if e.actor != "client" or e.what == "connect")
    alone = replace(trace, events=kept)
    assert "1 lost" in router_scene(alone).subtitle
    assert "lost" not in router_scene(replace(alone, cut=("client",))).subtitle


def test_the_line_takes_no_room_where_nothing_is_missing(complete: Trace, partial: Trace) -> None:
    for format in _FORMATS:
        clear = router_scene(complete, format=format)
        told = router_scene(partial, format=format)
        one = router_scene(replace(partial, cut=()), format=format)
        assert clear.height < one.height < told.height


def test_names_that_do_not_fit_are_counted() -> None:
    trace = CASES["twelve workers"]()
    workers = tuple(actor.id for actor in trace.actors if actor.role == "worker")
    scene = router_scene(replace(trace, cut=workers), format="slide")
    (line,) = (i for i in scene.items if isinstance(i, Text) and i.id == "gaps.cut")
    assert line.text.startswith("The records of worker1, worker2, ")
    assert line.text.endswith(" more end early.")
    assert "…" not in line.text
    assert "worker12" in scene.alt


def crowd() -> Iterator[tuple[str, Trace, str | None]]:
    yield from ((name, made(), None) for name, made in CASES.items())
    yield from ((name, made(), server) for name, (made, server) in SERVERS.items())
    yield from ((f"mesh {seed}", mesh(seed), None) for seed in range(12))


@pytest.mark.parametrize("format", list(FORMATS))
def test_nothing_touches_where_all_end_early(format: Any) -> None:
    found = {}
    for name, trace, server in crowd():
        cut = tuple(actor.id for actor in trace.actors)
        scene = router_scene(replace(trace, forgotten=9, cut=cut), server=server, format=format)
        found[name] = [*collisions(scene), *covered(scene)]
    assert {name: lines for name, lines in found.items() if lines} == {}


def covered(scene: Scene) -> Iterator[str]:
    """Marks of cut edges that lie on something, or something on them."""
    for mark in (i for i in scene.items if isinstance(i, Mark) and i.kind == "cut"):
        owner, here = mark.id.removesuffix(".cut"), box(mark)
        if owner == "gaps.cut":
            continue
        for item in scene.items:
            if isinstance(item, Line):
                on = any(here.meets_segment(a, b, half) for a, b, half in segments(item))
                touches = item.role != "paper" and on
            elif isinstance(item, Mark | Pill | Badge):
                touches = item is not mark and here.meets(box(item))
            elif isinstance(item, Disc):
                own = item.id.startswith(owner)
                touches = not own and here.meets_disc(item.x, item.y, item.r + 1)
            else:
                part = isinstance(item, Box) and item.role == "part"
                touches = part and item.id != owner and here.meets(box(item))  # type: ignore[arg-type]
            if touches:
                yield f"{mark.id} touches {item.id}"
        for actor, (x, y) in scene.homes.items():
            if here.meets_disc(x, y, RESTING):
                yield f"what {actor} holds covers {mark.id}"


# ------------------------------------------------------------------------ the player, the animation


class Shown(HTMLParser):
    """The text of an element, by its id."""

    def __init__(self, html: str, id: str) -> None:
        super().__init__()
        self.id, self.inside, self.text = id, False, ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = self.inside or dict(attrs).get("id") == self.id

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        self.text += data if self.inside else ""


def test_the_player_says_it_in_the_page_in_the_diagram_and_in_its_first_frame(
    complete: Trace, partial: Trace
) -> None:
    player = lab.play(partial)
    assert Shown(player.html, "gaps").text == f"{FORGOTTEN} {EARLY}"
    assert Shown(player.html, "i-gaps.forgotten").text == FORGOTTEN
    assert Shown(player.html, "i-gaps.cut").text == EARLY
    assert 'id="i-worker1.cut"' in player.html
    assert 'id="i-worker2.cut"' not in player.html
    assert FORGOTTEN in player.alt
    data, about = player._repr_mimebundle_()
    assert FORGOTTEN in about["image/png"]["alt"]
    # The picture that stands in for it is that of the same scene.
    assert data["image/png"] != lab.play(complete)._repr_mimebundle_()[0]["image/png"]
    clear = lab.play(complete).html
    assert "gaps" not in clear
    assert "forgotten" not in clear


def test_the_player_says_it_where_there_is_no_server_to_draw() -> None:
    build = Build().link("a:push", "b:pull")
    trace = replace(build.end(), forgotten=12_345, cut=("a",))
    player = lab.play(trace)
    assert FORGOTTEN in player.alt
    assert "The record of a ends early." in player.alt
    assert Shown(player.html, "gaps").text == f"{FORGOTTEN} The record of a ends early."
    assert Shown(player.html, "i-gaps.0").text == FORGOTTEN
    assert collisions(player._scene) == []


@pytest.mark.parametrize("format", list(FORMATS))
def test_every_frame_of_the_animation_says_it(complete: Trace, partial: Trace, format: Any) -> None:
    film = lab.animate(partial, format=format, max_steps=3, fps=4)
    assert FORGOTTEN in film.alt
    assert EARLY in film.alt
    foot = next(i for i in film.scene.items if i.id == "gaps.rule")
    assert isinstance(foot, Line)
    top = int(foot.points[0][1]) + 3
    with Image.open(io.BytesIO(film.gif)) as gif:
        first = None
        assert gif.n_frames > 3  # type: ignore[attr-defined]
        for n in range(gif.n_frames):  # type: ignore[attr-defined]
            gif.seek(n)
            strip = gif.convert("RGB").crop((0, top, gif.width, gif.height))
            first = first or strip
            assert strip.tobytes() == first.tobytes()
        # It is written on: in many shades, not all of them paper.
        colours = first.getcolors(1 << 16) if first else None
        assert colours is not None
        assert len(colours) > 5
    clear = lab.animate(complete, format=format, max_steps=3, fps=4)
    assert "forgotten" not in clear.alt
    assert not any(i.id.startswith("gaps") for i in clear.scene.items)


def test_the_table_says_it(complete: Trace, partial: Trace) -> None:
    for shown in (repr(partial), partial._repr_html_()):
        assert "12,345 earlier ones forgotten" in shown
        assert "Pull and worker1 end early" in shown
    assert "forgotten" not in repr(complete)
    assert "early" not in repr(complete)


# ----------------------------------------------------------------------- nothing that moved is left


def emptied() -> Trace:
    """What a ring keeps that is full of other things than messages."""
    recorder = Recorder(limit=1, clock="step")
    build = Build(recorder).master()
    for n in range(1, 20):
        build.run(n)
    build.recorder = recorder
    trace = build.end()
    kept = tuple(event for event in trace.events if not event.kind)
    return replace(trace, events=kept, forgotten=trace.forgotten + len(trace.events) - len(kept))


def test_a_record_without_any_hop_left_is_drawn_and_played() -> None:
    trace = emptied()
    assert len(trace.hops) == 0
    assert trace.forgotten > 100
    told = f"{trace.forgotten:,} earlier events are forgotten."
    for format in _FORMATS:
        scene = router_scene(trace, format=format)
        assert told in written(scene)
        assert collisions(scene) == []
        assert "the end of a run" in scene.title
        assert "No message was kept." in scene.subtitle
        assert f"The end of a run: {told}" in scene.alt
    assert len(lab.play(trace)) == 0
    assert '"kind":[]' in lab.play(trace).html
    assert told in lab.animate(trace).alt
    assert told.removesuffix(" are forgotten.").split()[0] in repr(trace)


def test_a_ring_of_a_real_run_says_it() -> None:
    recorder = Recorder(limit=40)
    with lab.Cluster(record=False) as cluster:
        cluster.attach(recorder)
        cluster.add(lab.Master("server"))
        cluster.add(lab.Worker("worker1", server="server"))
        client = cluster.client("server", timeout=20)
        assert len(list(client.job("server.echo", [b"a message"] * 300, messages=300))) == 300
    trace = recorder.trace
    assert trace.forgotten > 1000
    told = f"{trace.forgotten:,} earlier events are forgotten."
    assert told in written(lab.draw(trace).scene)
    assert Shown(lab.play(trace).html, "gaps").text == told
    assert told in lab.animate(trace, max_steps=2, fps=2).alt
