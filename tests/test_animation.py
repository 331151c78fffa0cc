"""The film: what it shows when, that it is true to the record, and that its bytes are the same."""

from __future__ import annotations

import base64
import io
import os
import random
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builder import Build, message
from PIL import Image

from pylm_lab.draw.animation import Animation, animate
from pylm_lab.draw.animation.gif import Gif, Pixels
from pylm_lab.draw.animation.pace import LONGEST, Film, pace
from pylm_lab.draw.animation.plates import mixed
from pylm_lab.draw.animation.stage import Stage
from pylm_lab.draw.figure import Picture
from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.moment import length, point_at, run_of
from pylm_lab.draw.scene import Box
from pylm_lab.draw.story import tell
from pylm_lab.draw.style import THEMES
from pylm_lab.errors import LabError, WiringError
from pylm_lab.trace import Trace

#: The ports of a message's way, sending ones.
STATIONS = (
    "client:push",
    "server.Pull:listen_to",
    "server.Pull:broker",
    "server.WorkerPush:broker",
    "server.WorkerPush:listen_to",
    "worker{w}:pull",
    "worker{w}:push",
    "server.WorkerPull:listen_to",
    "server.WorkerPull:broker",
    "server.Pub:broker",
    "server.Pub:listen_to",
    "client:sub",
)


def crowd(messages: int, seed: int = 1) -> Trace:
    """Messages that go through a master all at the same time, in an order drawn by lot."""
    build, lot = Build(schedule="seeded", seed=seed).master(), random.Random(seed)
    at = dict.fromkeys(range(1, messages + 1), 0)
    while at:
        # Nobody overtakes: the order on each link is that of the numbers.
        free = [n for n in at if n - 1 not in at or at[n] < at[n - 1]]
        n = free[int(lot.random() * len(free))]
        worker = f"worker{2 - n % 2}"
        station = STATIONS[at[n]].format(w=worker[-1])
        if station.endswith("Pull:broker"):
            part = station.removeprefix("server.").partition(":")[0]
            build.send(station, b"", message(n))
            build.receive("server.router:inbound", part.encode(), b"", message(n))
        elif station.endswith(":broker"):
            part = station.removeprefix("server.").partition(":")[0]
            build.send("server.router:outbound", part.encode(), b"", message(n))
            build.receive(station, b"", message(n))
        elif station in {"server.Pub:listen_to"}:
            build.send(station, b"client", message(n))
        elif station == "client:sub":
            build.receive(station, b"client", message(n))
        elif station.endswith((":push", "WorkerPush:listen_to")):
            build.send(station, message(n))
        else:
            build.receive(station, message(n))
        at[n] += 1
        if at[n] == len(STATIONS):
            del at[n]
    return build.end()


def film(trace: Trace, **more: Any) -> Film:
    return pace(trace, tell(trace), closing="All is over.", **more)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return crowd(4)


@pytest.fixture(scope="module")
def animation(trace: Trace) -> Animation:
    return animate(trace)


def shown(gif: bytes) -> list[tuple[float, Pixels]]:
    """The frames of a GIF as RGB, each with the second at which it appears."""
    found, at = [], 0.0
    with Image.open(io.BytesIO(gif)) as image:
        for n in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(n)
            found.append((at, np.array(image.convert("RGB"))))
            at += image.info["duration"] / 1000
    return found


# -------------------------------------------------------------------------------------------- pace


@pytest.mark.parametrize("seed", range(5))
def test_nothing_sets_out_before_what_had_arrived_by_then(seed: int) -> None:
    trace = crowd(6, seed)
    moves = film(trace).moves
    assert len(moves) == 48
    for a, b in combinations(moves, 2):
        assert a.begin <= b.begin
        assert a.step.hop is not None
        assert b.step.hop is not None
        before, after = trace.hops[a.step.hop], trace.hops[b.step.hop]
        if before.received is not None and before.received < after.begins:
            assert a.end <= b.begin


def test_what_was_on_its_way_together_moves_together() -> None:
    build = Build().master()
    for n in range(1, 5):
        build.run(n, until="client:push")
    moves = film(build.trace).moves
    assert all(later.begin < moves[0].end for later in moves[1:])


def test_one_message_is_told_and_then_the_others() -> None:
    build = Build().master()
    for n in range(1, 5):
        build.run(n, worker=f"worker{2 - n % 2}")
    trace = build.end()
    told = [text for _, text in film(trace).captions]
    assert told[:8] == [step.sentence for step in tell(trace)[:8]]
    assert told[8:] == ["Messages 2 to 4 go the same way, one by one.", "All is over."]


def test_the_others_are_only_said_to_go_the_same_way_if_they_do() -> None:
    build = Build().master().run(1).run(2, worker="worker2").run(3, until="worker1:pull")
    assert film(build.trace).captions[-2][1] == "The others follow, one by one."


def test_of_a_message_that_is_split_the_first_piece_is_followed() -> None:
    build = Build().master(workers=1).run(1, until="server.Pull:listen_to")
    for child in (2, 3):
        build.run(child, since="server.Pull:broker", data=message(child, parent=1))
    trace = build.end()
    followed = [move.step.number for move in film(trace).moves if move.followed]
    assert followed == ["1", *["1.1"] * 7]
    assert film(trace).captions[-2][1] == "The others follow, one by one."


def test_long_sentences_are_shown_long_enough_to_be_read() -> None:
    captions = film(Build().master().run(1).end()).captions
    for (since, text), (until, _) in pairwise(captions):
        assert until - since >= min(1.0, len(text) / 45)


@pytest.mark.parametrize("messages", [0, 1, 10, 60])
def test_a_film_has_its_length(messages: int) -> None:
    trace = crowd(messages)
    made = film(trace)
    assert made.seconds <= LONGEST
    assert made.left_out == 8 * messages - len(made.moves)
    assert (made.left_out > 0) == (messages == 60)
    if made.left_out:
        closing = f"All is over. Shown: the first {len(made.moves)} of 480 steps."
        assert made.captions[-1][1] == closing


def test_a_film_can_be_cut_short(trace: Trace) -> None:
    made = film(trace, most=3)
    assert len(made.moves) == 3
    assert made.captions[-1][1] == "All is over. Shown: the first 3 of 32 steps."


# ------------------------------------------------------------------------------------------ frames


def test_it_is_a_gif_of_that_length_that_repeats(animation: Animation) -> None:
    scene = router_scene(crowd(4))
    with Image.open(io.BytesIO(animation.gif)) as image:
        assert image.format == "GIF"
        assert image.info["loop"] == 0
        assert image.size == (round(scene.width), -(-scene.height // 1))
    frames = shown(animation.gif)
    assert 50 < len(frames) <= len(animation)
    assert 10 < animation.seconds <= LONGEST + 0.1


def test_it_ends_with_the_picture_of_the_whole_run(trace: Trace, animation: Animation) -> None:
    scene = router_scene(trace)
    file = io.BytesIO()
    Picture(scene, THEMES["light"]).savefig(file, format="png", dpi=100)
    with Image.open(file) as image:
        figure = np.array(image.convert("RGB")).astype(int)
    last = shown(animation.gif)[-1][1].astype(int)[: len(figure)]
    differs = np.abs(last - figure).max(axis=2)
    differs[35:52] = 0  # the subtitle, which is a caption in the film
    assert differs.max() <= 24
    assert (differs > 8).mean() < 0.001


def test_the_message_is_where_it_should_be(trace: Trace, animation: Animation) -> None:
    scene = router_scene(trace)
    moving = np.array(tuple(bytes.fromhex(THEMES["light"].moving[1:])))
    frames = shown(animation.gif)
    for move in animation.film.moves[:4]:
        run = run_of(scene, move.step)
        half = (move.begin + move.end) / 2
        frame = [pixels for at, pixels in frames if at <= half + 0.001][-1]
        x, y = point_at(run, max(length(run) * 0.6, length(run) - 18) / 2)
        # Within a frame's way; its middle is its number.
        around = frame[round(y) - 9 : round(y) + 10, max(0, round(x) - 30) : round(x) + 31]
        assert (around == moving).all(axis=2).sum() > 60, move.step.sentence


def test_its_way_glows_and_the_row_that_decided_is_lit(trace: Trace, animation: Animation) -> None:
    theme, scene = THEMES["light"], router_scene(trace)
    move = next(m for m in animation.film.moves if m.step.row)
    frame = [pixels for at, pixels in shown(animation.gif) if at < move.end][-1]

    def seen(colour: str) -> int:
        return int((frame == np.array(tuple(bytes.fromhex(colour[1:])))).all(axis=2).sum())

    assert seen(theme.glow) > 1_000
    assert seen(mixed(theme.glow, theme.paper, 0.42)) > 1_000
    assert move.step.row is not None
    box = next(item for item in scene.items if item.id == scene.rows[move.step.row][0])
    assert seen(theme.lit) > 0.5 * box.w * box.h  # type: ignore[union-attr]


def test_nothing_lies_between_a_wire_and_its_glow(trace: Trace, animation: Animation) -> None:
    """The paper beside a wire, which cuts what it crosses, does not cut its own glow."""
    theme = THEMES["light"]
    move = next(m for m in animation.film.moves if m.step.row)
    frame = [pixels for at, pixels in shown(animation.gif) if at < move.end][-1]
    # Where its wire is, which crosses another one.
    field = next(item for item in router_scene(trace).items if item.id == "field")
    assert isinstance(field, Box)
    x, y = round(field.x), round(field.y)
    frame = frame[y : y + round(field.h), x : x + round(field.w)]
    glow = (frame == np.array(tuple(bytes.fromhex(theme.glow[1:])))).all(axis=2).sum()
    assert glow > 7 * field.w


def test_colours_of_the_theme_stay_what_they_are(trace: Trace) -> None:
    dark = shown(animate(trace, theme="dark", max_steps=2).gif)[0][1]
    assert tuple(dark[-1, -1]) == tuple(bytes.fromhex(THEMES["dark"].paper[1:]))


def test_counts_and_piles_are_those_of_the_moment(trace: Trace, animation: Animation) -> None:
    stage = Stage(animation.scene, THEMES["light"], animation.film)

    def texts(at: float) -> dict[str, str]:
        items = [getattr(mark.what, "item", None) for mark in stage.score(at)]
        return {item.id: item.text for item in items if item is not None and item.text}

    first = animation.film.moves[0]
    ends = [m.end for m in animation.film.moves if m.step.link == ("client", "server.Pull")]
    counter = router_scene(trace).counts["client", "server.Pull"]
    assert texts(first.begin)[counter] == "0"
    for end in ends:
        assert texts(end)[counter] == str(sum(other <= end for other in ends))
    assert texts(animation.film.over - 0.01)[counter] == "4"
    assert texts(first.begin)["subtitle"] == "client sends message 1 to Pull."


def test_a_message_is_seen_once(trace: Trace, animation: Animation) -> None:
    """Moving or resting: never both, though it waits at its target as soon as it is sent."""
    stage = Stage(animation.scene, THEMES["light"], animation.film)
    seen = 0
    for at in np.arange(0.0, animation.film.over, 0.05):
        items = [getattr(mark.what, "item", None) for mark in stage.score(float(at))]
        numbers = [item.text for item in items if item is not None and item.id == "disc"]
        assert len(numbers) == len(set(numbers)), at
        seen = max(seen, len(numbers))
    assert seen == 4


def test_a_loss_is_shown_with_a_cross_and_counted() -> None:
    build = Build().master().run(1).run(2, until="server.WorkerPush:broker")
    build.drop("server.WorkerPush:listen_to", message(2), cause="a rule")
    made = animate(build.run(3).end())
    stage = Stage(made.scene, THEMES["light"], made.film)
    lost = next(move for move in made.film.moves if move.step.lost)

    def ids(at: float) -> set[str]:
        return {getattr(getattr(mark.what, "item", None), "id", "") for mark in stage.score(at)}

    (pill,) = stage.lost
    assert not {pill, "cross"} & ids(lost.end - 0.01)
    assert {pill, "cross"} <= ids(lost.end + 0.01)


def test_a_slide_has_no_caption(trace: Trace) -> None:
    made = animate(trace, format="slide", max_steps=4)
    assert made.scene.width == 800
    stage = Stage(made.scene, THEMES["light"], made.film)
    assert not any(
        getattr(m.what, "item", None) and m.what.item.id == "subtitle"  # type: ignore[union-attr]
        for m in stage.score(1.0)
    )
    assert len(shown(made.gif)) > 5


# --------------------------------------------------------------------------------------- the file


def test_pictures_go_through_the_file_unharmed() -> None:
    """Whatever changes where: what is read is what was written."""
    lot = random.Random(3)
    colours = ["#102030", "#FFFFFF", "#D55E00", "#0072B2"]
    flat = np.array([tuple(bytes.fromhex(c[1:])) for c in colours], dtype=np.uint8)
    picture = flat[np.zeros((40, 60), dtype=int)]
    gif = Gif(colours, [picture])
    written, windows = [picture.copy()], [(slice(0, 40), slice(0, 60))]
    gif.add(picture, windows[0], 5)
    for _ in range(20):
        top, left = int(lot.random() * 30), int(lot.random() * 50)
        window = slice(top, top + 1 + int(lot.random() * 9)), slice(left, left + 9)
        picture[window] = flat[int(lot.random() * 4)]
        gif.add(picture, window, 5)
        written.append(picture.copy())
    frames = shown(gif.data())
    at = [round(second * 20) for second, _ in frames]
    for n, expected in enumerate(written):
        seen = frames[max(k for k, step in enumerate(at) if step <= n)][1]
        assert np.array_equal(seen, expected), n


def test_it_is_small() -> None:
    assert len(animate(crowd(10)).gif) < 1_000_000


def test_the_bytes_are_the_same_whatever_the_hash_seed(animation: Animation) -> None:
    code = (
        "import sys; from test_animation import crowd\n"
        "from pylm_lab.draw.animation import animate\n"
        "sys.stdout.buffer.write(animate(crowd(4)).gif)"
    )
    written = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "4711")
    }
    assert written == {animation.gif}


def test_saving_writes_the_whole_file_or_nothing(animation: Animation, tmp_path: Path) -> None:
    path = animation.save(tmp_path / "flow.gif")
    assert path.read_bytes() == animation.gif
    (tmp_path / "taken.gif").mkdir()
    with pytest.raises(OSError, match=r"taken\.gif"):
        animation.save(tmp_path / "taken.gif")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["flow.gif", "taken.gif"]


def test_a_notebook_shows_it_as_a_picture_with_words(animation: Animation) -> None:
    data = animation._repr_mimebundle_()
    assert set(data) == {"text/html", "text/plain"}
    source = data["text/html"].split('src="data:image/gif;base64,')[1].split('"')[0]
    assert base64.b64decode(source) == animation.gif
    assert f'alt="{animation.alt}"' in data["text/html"]
    assert animation.alt.startswith("Server: inbound parts Pull and WorkerPull")


def test_its_repr_is_one_line(animation: Animation) -> None:
    assert repr(animation) == (f"<Animation {animation.scene.title!r}, {animation.seconds:.1f} s>")


def test_what_cannot_be_shown_is_an_error(trace: Trace) -> None:
    with pytest.raises(LabError, match=r"0 frames a second.*1 to 50"):
        animate(trace, fps=0)
    with pytest.raises(LabError, match="no view 'side'"):
        animate(trace, view="side")
    with pytest.raises(LabError, match="no theme 'sepia'"):
        animate(trace, theme="sepia")  # type: ignore[arg-type]
    with pytest.raises(WiringError, match="nobody"):
        animate(trace, server="nobody")
    with pytest.raises(LabError, match="nothing to draw"):
        animate(Trace())
