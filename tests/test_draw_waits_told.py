"""The wait-for view: what it says in words, and as a figure like any other."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from waits_cases import CASES, wait

import pylm_lab as lab
from pylm_lab.draw.figure import Picture, draw
from pylm_lab.draw.scene import Line, Scene, Text
from pylm_lab.draw.style import THEMES
from pylm_lab.draw.waits import waits_scene
from pylm_lab.errors import LabError
from pylm_lab.waits import Waits


def scene(case: str) -> Scene:
    return waits_scene(CASES[case])


def texts(found: Scene) -> dict[str, str]:
    return {item.id: item.text for item in found.items if isinstance(item, Text)}


# ----------------------------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("case", "title", "subtitle"),
    [
        ("nobody", "Nobody waits", "Nothing is stuck."),
        ("at rest", "Nobody is owed anything", "All wait for their next piece of work."),
        (
            "one",
            "Round and round: proxy waits for itself",
            "Follow the thick arrow: nobody else can end that.",
        ),
        (
            "two",
            "Round and round: two wait for each other",
            "Follow the thick arrows, 1 and 2: neither moves before the other.",
        ),
        (
            "five",
            "Round and round: five wait for each other",
            "Follow the thick arrows from 1 to 5: each waits for the next, so none can move.",
        ),
        (
            "three",
            "Round and round: three wait for each other",
            "Follow the thick arrows from 1 to 3."
            " Thin ones out of the circle lead to who else could end a wait in it.",
        ),
        (
            "chain",
            "No circle: the waiting ends at server.router",
            "server.router is idle, so something was lost on the way, never answered, or"
            " never sent.",
        ),
        (
            "function",
            "No circle: the waiting ends at worker1",
            "worker1 waits for its function slow to return, and no other actor can end that.",
        ),
        (
            "fork",
            "No circle: the waiting ends at two actors",
            "Where the arrows end at somebody idle, something was lost, never answered, or"
            " never sent.",
        ),
    ],
)
def test_title_and_subtitle_say_what_to_look_at(case: str, title: str, subtitle: str) -> None:
    found = scene(case)
    assert (found.title, found.subtitle) == (title, subtitle)
    shown = texts(found)
    assert (shown["title"], shown["subtitle"]) == (title, subtitle)


def test_ends_none_of_which_is_idle_are_said_not_to_wait() -> None:
    found = waits_scene(Waits([wait("a", "b", "c")]))
    assert found.subtitle == "Follow the arrows down to those who could end the waiting."
    assert waits_scene(Waits([wait("a", "b")])).subtitle == (
        "b does not wait: it is at work, or it has ended."
    )


def test_the_alt_text_tells_the_graph() -> None:
    assert scene("chain").alt == (
        "client waits for a message at client:sub, for 212 steps. It is up to server.Pub."
        " server.Pub waits for a message at server.Pub:broker, for 120 steps. It is up to"
        " server.router. server.router is idle, so something was lost on the way, never answered,"
        " or never sent. Two idle actors: server.Pull and server.router."
    )
    assert scene("three").alt.startswith(
        "Round and round: server.Pull waits for server.router, server.router waits for"
        " server.WorkerPush, server.WorkerPush waits for server.Pull. client waits for room"
    )
    assert "It is up to server.Pull or worker1." in scene("three").alt
    assert scene("one").alt.startswith("Round and round: proxy waits for itself. client")
    assert scene("nobody").alt == "Nobody waits."
    assert scene("at rest").alt == (
        "Nobody is owed anything. Three idle actors: server.Pull, server.WorkerPush and"
        " server.router."
    )


def test_title_and_subtitle_may_be_ones_own() -> None:
    shown = texts(waits_scene(CASES["two"], title="A\n", subtitle="B"))
    assert (shown["title"], shown["subtitle"]) == ("A\\n", "B")


# -------------------------------------------------------------------------------------- as a figure


@pytest.mark.parametrize("case", CASES)
def test_waits_are_drawn_like_anything_else(case: str, tmp_path: Path) -> None:
    picture = lab.draw(CASES[case], theme="dark")
    assert isinstance(picture, Picture)
    assert picture.scene == waits_scene(CASES[case])
    once = picture.save(tmp_path / "once.svg").read_bytes()
    assert draw(CASES[case], theme="dark").save(tmp_path / "again.svg").read_bytes() == once
    desc = ET.fromstring(once).find("{http://www.w3.org/2000/svg}desc")
    assert desc is not None
    assert desc.text == picture.alt == waits_scene(CASES[case]).alt


def test_the_circle_has_its_colour_in_both_themes(tmp_path: Path) -> None:
    names: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
    for name in names:
        picture = draw(CASES["four"], theme=name)
        image = Image.open(picture.save(tmp_path / f"{name}.png")).convert("RGB")
        (first,) = [i for i in picture.scene.items if isinstance(i, Line) and i.id == "circle.1"]
        (a, b), (u, v) = first.points
        at = (round(2 * (a + (u - a) * 0.15)), round(2 * (b + (v - b) * 0.15)))
        assert image.getpixel(at) == tuple(bytes.fromhex(THEMES[name].alarm[1:]))


def test_a_slide_is_larger_and_says_nothing_around() -> None:
    found = draw(CASES["two"], format="slide").scene
    assert (found.width, found.height) == (800, 450)
    assert not {"title", "subtitle", "legend.arrow"} & set(texts(found))
    assert set(texts(scene("nobody"))) == {"title", "subtitle"}
    assert texts(waits_scene(Waits(), format="slide")) == {"nobody": "Nobody waits."}


def test_a_page_is_as_wide_as_the_others_until_wires_need_more() -> None:
    assert {scene(case).width for case in ("nobody", "one", "two", "five", "chain")} == {700}
    assert scene("nine").width > 700


def test_what_does_not_go_with_waits_is_told() -> None:
    with pytest.raises(LabError, match=r"leave out server='server'"):
        draw(CASES["two"], server="server")
    with pytest.raises(LabError, match="no format 'poster'"):
        draw(CASES["two"], format="poster")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is no Wait"):
        waits_scene(["a"])  # type: ignore[list-item]


def test_neither_order_nor_hash_seed_has_a_say() -> None:
    assert waits_scene(reversed(CASES["five"])) == scene("five")
    code = (
        "from waits_cases import CASES, wild; from pylm_lab.draw.waits import waits_scene;"
        "print([ascii(waits_scene(w)) for w in (*CASES.values(), *map(wild, range(9)))])"
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
