"""The player's document: what is in it, what may never be, and that it is the same each time.

How it behaves in a browser is in tests/browser.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from builder import Build, message

from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.metrics import advance
from pylm_lab.draw.moment import length, midway, point_at
from pylm_lab.draw.player import Player, document, play
from pylm_lab.draw.player.frames import Frame, frames
from pylm_lab.draw.scene import Pill, Text
from pylm_lab.draw.story import EVERY, tell
from pylm_lab.draw.style import THEMES
from pylm_lab.draw.svg import colours, identity, stylesheet, svg
from pylm_lab.errors import LabError, WiringError
from pylm_lab.hook import Port
from pylm_lab.trace import Event, Trace

HOSTILE = "</script><img src=x onerror=alert(1)>&amp;\u2028\u202e\x00\x07 $x$ {{script}}"


def run(messages: int = 3, **about: Any) -> Build:
    build = Build(schedule="seeded", seed=1, **about).master()
    build.cross("client:db", "server.Cache:listen_to", message(999, payload=b"name"))
    build.cross("server.Cache:listen_to", "client:db", b"server")
    for n in range(1, messages + 1):
        build.run(n, worker=f"worker{2 - n % 2}")
    return build


@pytest.fixture(scope="module")
def trace() -> Trace:
    return run().end()


class Page(HTMLParser):
    """What elements a document has, with their texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open, []).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def record(player: Player) -> dict[str, Any]:
    """What the script gets to know."""
    found = re.search(r'<script type="application/json" id="record">(.*?)</script>', player.html)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


# ----------------------------------------------------------------------------------- self-contained


def test_the_document_refers_to_nothing_outside_itself(trace: Trace) -> None:
    page = Page(play(trace).html)
    loading = {"src", "href", "srcset", "data", "action", "poster", "background"}
    assert [(t, a) for t, a in page.elements if loading & set(a)] == []
    assert {tag for tag, _ in page.elements} & {
        "link",
        "iframe",
        "object",
        "embed",
        "base",
    } == set()
    assert "url(" not in play(trace).html
    assert "@import" not in play(trace).html


def test_its_policy_lets_run_and_look_only_what_is_in_it(trace: Trace) -> None:
    html = play(trace).html
    policy = Page(html).all("meta")[1]["content"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for name, opening in (("script", "<script>"), ("style", "<style>")):
        text = html.split(opening)[1].split(f"</{name}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"


def test_the_script_is_readable_strict_and_a_few_kilobytes() -> None:
    script = files("pylm_lab.draw.player").joinpath("player.js").read_text(encoding="utf-8")
    lines = script.splitlines()
    assert len(script) < 20_000
    assert max(map(len, lines)) <= 100
    assert '"use strict";' in lines[:4]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


def test_colours_come_from_the_style(trace: Trace) -> None:
    sheet = files("pylm_lab.draw.player").joinpath("player.css").read_text(encoding="utf-8")
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\s,)])|rgba?\(|hsl", sheet) == []
    used = set(re.findall(r"var\(--([\w-]+)\)", sheet + stylesheet(THEMES["light"])))
    for theme in THEMES.values():
        given = set(re.findall(r"--([\w-]+):", colours(theme)))
        assert used - given == {"on-moving"}


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_a_theme_is_its_own_or_the_readers(trace: Trace, theme: Any) -> None:
    html = play(trace, theme=theme).html
    assert ("prefers-color-scheme" in html) == (theme == "auto")
    assert (THEMES["dark"].paper in html) == (theme != "light")
    assert (f"--paper:{THEMES['light'].paper}" in html) == (theme != "dark")


def test_an_unknown_theme_view_or_server_is_an_error(trace: Trace) -> None:
    with pytest.raises(LabError, match=r"no theme 'sepia'.*'auto'"):
        play(trace, theme="sepia")  # type: ignore[arg-type]
    with pytest.raises(LabError, match=r"no view 'side'.*'router'"):
        play(trace, view="side")
    with pytest.raises(WiringError, match="nobody"):
        play(trace, server="nobody")
    with pytest.raises(LabError, match="play None: give it a trace"):
        play(None)
    with pytest.raises(LabError, match="int"):
        play(7)


def test_what_has_a_trace_is_played(trace: Trace) -> None:
    cluster = SimpleNamespace(trace=trace)
    assert play(cluster).html == play(trace).html


# ------------------------------------------------------------------------------------ hostile texts


def hostile() -> Trace:
    build = run(1)
    text = HOSTILE.encode()
    build.run(7, data=message(7, payload=text, function=f"server.{HOSTILE}"))
    build.cross("client:db", "server.Cache:listen_to", message(8, payload=text))
    build.cross("server.Cache:listen_to", "client:db", text)
    return build.end()


def test_no_text_of_the_run_becomes_markup() -> None:
    page = Page(play(hostile(), title=HOSTILE).html)
    assert page.all("img") == []
    assert len(page.all("script")) == 2
    assert [a for _, a in page.elements if any(name.startswith("on") for name in a)] == []
    title = "".join(page.texts["title"])
    assert title.startswith("</script><img src=x onerror=alert(1)>&amp;\\u2028\\u202e")


def test_no_text_of_the_run_is_taken_for_a_place_of_the_document() -> None:
    player = play(hostile(), title=HOSTILE)
    assert player.html.count("The player: one cursor") == 1
    assert any("{{script}}" in text for text in record(player)["texts"])


def test_texts_of_the_run_are_printable_in_the_record() -> None:
    texts = record(play(hostile()))["texts"]
    assert all(text.replace("\0", "").isprintable() for text in texts)
    assert any("onerror=alert(1)" in text for text in texts)


# -------------------------------------------------------------------------------------- same bytes


def test_the_document_is_the_same_whatever_the_hash_seed() -> None:
    code = (
        "import sys; from test_player import run; from pylm_lab.draw.player import play\n"
        "sys.stdout.buffer.write(play(run().end()).html.encode())"
    )
    written = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert written == {play(run().end()).html.encode()}


def test_saving_writes_the_whole_document_or_nothing(trace: Trace, tmp_path: Path) -> None:
    player = play(trace)
    path = player.save(tmp_path / "player.html")
    assert path.read_bytes().decode("utf-8") == player.html
    player.save(str(path))
    assert [p.name for p in tmp_path.iterdir()] == ["player.html"]
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(OSError, match=r"taken\.html"):
        player.save(tmp_path / "taken.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["player.html", "taken.html"]


# --------------------------------------------------------------------------------------- notebooks


def test_a_notebook_gets_the_document_over_its_picture(trace: Trace) -> None:
    player = play(trace)
    data, about = player._repr_mimebundle_()
    assert set(data) == {"text/html", "image/png", "text/plain"}
    page = Page(data["text/html"])
    (frame,), (image,) = page.all("iframe"), page.all("img")
    assert frame["sandbox"] == "allow-scripts"
    assert frame["srcdoc"] == player.html
    assert image["alt"] == data["text/plain"] == player.alt
    kind, _, picture = image["src"].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(picture)[:4] == data["image/png"][:4] == b"\x89PNG"
    assert about["image/png"]["width"] == round(router_scene(trace).width)


def test_the_bundle_is_the_same_each_time(trace: Trace) -> None:
    assert play(trace)._repr_mimebundle_() == play(trace)._repr_mimebundle_()


def test_its_repr_is_one_line(trace: Trace) -> None:
    assert repr(play(trace, title="Three messages")) == (
        f"<Player 'Three messages', {len(trace.hops)} steps>"
    )


# -------------------------------------------------------------------------------------- the record


def test_every_step_can_be_looked_up_by_itself(trace: Trace) -> None:
    """The script's columns and changes say what the story says, at every step."""
    data, steps = record(play(trace)), tell(trace, kinds=EVERY)
    columns, texts, numbers = data["steps"], data["texts"], data["numbers"]
    actors = [actor.id for actor in trace.actors]

    def now(changes: list[Any], n: int) -> dict[str, Any]:
        found = {}
        for actor, since, values in changes:
            before = [value for at, value in zip(since, values, strict=True) if at <= n]
            if before:
                found[actors[actor]] = before[-1]
        return found

    for n, step in enumerate(steps):
        number = numbers[columns["number"][n]]
        assert number == step.number
        assert texts[columns["sentence"][n]].replace("\0", number) == step.sentence
        assert texts[columns["title"][n]].replace("\0", number) == step.title
        status = now(data["changes"]["status"], n)
        assert {a: texts[t] for a, t in status.items()} == dict(step.status)
        for name, piles in (("held", step.held), ("waiting", step.waiting)):
            shown = {a: p for a, p in now(data["changes"][name], n).items() if p[0]}
            assert {a: (p[0], *map(numbers.__getitem__, p[1:])) for a, p in shown.items()} == {
                a: (pile.size, *pile.first) for a, pile in piles.items()
            }


def test_counts_grow_to_what_the_scene_shows(trace: Trace) -> None:
    data, scene = record(play(trace)), router_scene(trace)
    shown = {identity(item.id): item.text for item in scene.items if isinstance(item, Pill | Text)}
    assert data["counts"]
    for item, grows in data["counts"]:
        assert f"{len(grows):,}" == shown[item]
        assert grows == sorted(grows)


def test_a_loss_shows_from_the_step_on_at_which_it_happens() -> None:
    build = run(2).run(3, until="server.WorkerPush:broker")
    trace = build.drop("server.WorkerPush:listen_to", message(3)).run(4, worker="worker2").end()
    lost = [step.index for step in tell(trace, kinds=EVERY) if step.lost]
    ((item, shows),) = record(play(trace))["losses"]
    assert item.endswith("lost")
    assert shows == [lost[0] + 1]


def test_a_loss_inside_shows_beside_its_row_from_its_step_on() -> None:
    build = run(2).run(3, until="server.Pull:broker")
    build.fault("server.router:inbound", "drop", b"Pull", b"", message(3))
    trace = build.run(4, worker="worker2").end()
    lost = [step.index for step in tell(trace, kinds=EVERY) if step.lost]
    assert record(play(trace))["losses"] == [[identity("row1.lost"), [lost[0] + 1]]]


def faulty() -> Trace:
    """Message 3 is held back while 4 goes, and then worker2 crashes."""
    build = run(2).run(3, until="server.WorkerPush:listen_to")
    build.fault("worker1:pull", "delay", message(3), why="a rule").run(4, worker="worker2")
    return build.run(3, since="worker1:pull").fault("worker2", "crash", why="a fault").end()


def test_faults_are_steps_with_all_that_a_step_has() -> None:
    trace = faulty()
    data = record(play(trace))
    steps = tell(trace, kinds=EVERY)
    assert {len(column) for column in data["steps"].values()} == {len(steps)}
    assert [data["texts"][fault] for fault in data["steps"]["fault"] if fault] == ["delay", "crash"]
    delay, crash = (step.index for step in steps if step.fault)
    assert data["steps"]["way"][delay] == data["steps"]["way"][delay - 1] >= 0
    assert data["steps"]["way"][crash] == -1, "an actor goes nowhere"
    assert data["steps"]["fate"][delay - 1 : delay + 1] == [1, 1], "it stays half-way"


def test_what_is_held_back_stays_on_its_way_until_it_is_taken() -> None:
    trace = faulty()
    data = record(play(trace))
    steps = tell(trace, kinds=EVERY)
    others = [step.index for step in steps if step.number == "4"]
    (delay,) = (step.index for step in steps if step.fault == "delay")
    ((way, number, since, until),) = data["delayed"]
    assert (way, data["numbers"][number]) == (data["steps"]["way"][delay], "3")
    assert (since, until) == (others[0], others[-1] + 1)


def test_what_stays_half_way_covers_no_text() -> None:
    scene = router_scene(faulty())
    texts = [item for item in scene.items if isinstance(item, Text)]
    for link in (("server.WorkerPush", "worker2"), ("server.Pub", "client")):
        way = scene.runs[link]
        x, y = point_at(way, length(way) * midway(scene, way))
        for text in texts:
            wide = advance(text.text, text.size, text.bold)
            left = text.x - {"start": 0, "middle": wide / 2, "end": wide}[text.anchor]
            near = left - 10 < x < left + wide + 10 and text.y - text.size < y < text.y + 10
            assert not near, text


def test_a_long_record_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = run(3).end()
    monkeypatch.setattr(document, "LIMIT", 10)
    player = play(trace)
    assert len(player) == 10
    assert len(record(player)["steps"]["kind"]) == 10
    assert f"Shown: the first 10 steps of a run of {len(trace.hops)} hops." in svg(player._scene)
    grows = dict(record(player)["counts"])
    assert max(max(g, default=0) for g in grows.values()) <= 10


def test_ten_thousand_hops_make_a_document_of_a_few_megabytes() -> None:
    assert len(play(run(1_250).end()).html) < 2_500_000


def test_a_record_without_a_server_is_played_in_words() -> None:
    trace = Build().link("a:out", "b:in").cross("a:out", "b:in", message(1)).trace
    player = play(trace)
    assert "There is no router to draw" in player.html
    assert len(record(player)["steps"]["kind"]) == 1
    assert player._repr_mimebundle_()[0]["image/png"][:4] == b"\x89PNG"


def test_an_empty_record_is_played() -> None:
    assert len(play(Trace())) == 0
    assert "<svg" in play(Trace()).html


# ------------------------------------------------------------------------------------ frames, scene


def port(socket: str) -> Port:
    return Port(id="a:p", actor="a", socket=socket, binds=True, outer=True)


def event(kind: Any, *sizes: int, **more: Any) -> Event:
    return Event(at=1, what="send", actor="a", kind=kind, sizes=sizes, **more)


@pytest.mark.parametrize(
    ("socket", "seen", "told"),
    [
        ("PUSH", event("message", 80), [("message", 80, "")]),
        ("DEALER", event("message", 0, 80), [("delimiter", 0, ""), ("message", 80, "")]),
        (
            "ROUTER",
            event("message", 4, 0, 80, peer="Pull"),
            [("routing id", 4, "Pull"), ("delimiter", 0, ""), ("message", 80, "")],
        ),
        (
            "XPUB",
            event("message", 6, 80, topic="client"),
            [("topic", 6, "client"), ("message", 80, "")],
        ),
        (
            "DEALER",
            event("credit", 0, 2, excerpt="10"),
            [("delimiter", 0, ""), ("credit", 2, "10")],
        ),
        ("REP", event("answer", 3, excerpt="a\nb"), [("answer", 3, "a\\nb")]),
        ("DEALER", event("message", 7, 80), [("frame", 7, ""), ("message", 80, "")]),
        ("HTTP", event("message", 1, 0, 80), [("body", 80, "")]),
        ("HTTP", event("answer", 3, 80, excerpt="\n\x10"), [("body", 80, "")]),
    ],
)
def test_frames_are_called_by_what_they_are_for(
    socket: str, seen: Event, told: list[tuple[str, int, str]]
) -> None:
    assert frames(seen, port(socket)) == tuple(Frame(*frame) for frame in told)


def test_the_scene_is_well_formed_and_every_item_is_found_by_its_id(trace: Trace) -> None:
    scene = router_scene(trace)
    root = ElementTree.fromstring(svg(scene, style=stylesheet(THEMES["light"])))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert {identity(item.id) for item in scene.items} <= set(ids)
    named = [
        *scene.status.values(),
        *scene.counts.values(),
        *(i for r in scene.rows.values() for i in r),
    ]
    assert {identity(item) for item in named} <= set(ids)
    assert "glow" in ids


def test_what_is_lit_lies_over_the_wires_and_under_what_stands_on_them(trace: Trace) -> None:
    drawn = svg(router_scene(trace))
    glow = drawn.index('id="glow"')
    assert drawn.index('id="i-row1.wire"') < glow < drawn.index('id="i-server.Pull"')


def test_a_number_in_a_sentence_is_taken_for_the_messages_own_only_where_it_is() -> None:
    trace = run(12).end()
    data = record(play(trace))
    own = [text for text in data["texts"] if "\0" in text]
    assert "The router reads row 1 and hands message \0 to WorkerPush." in own
    assert sum("hands message" in text and "WorkerPush" in text for text in data["texts"]) == 1
