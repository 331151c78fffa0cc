"""Pictures: real figures that leave nothing behind, the same bytes each time, told to all."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import dejavu_widths
import matplotlib as mpl
import pytest
from collisions import words
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.text import Text as Words
from PIL import Image
from router_cases import CASES, Made, declared, master, master_parts

from pylm_lab.draw import dejavu
from pylm_lab.draw.figure import Picture, draw
from pylm_lab.draw.layout import router_scene
from pylm_lab.draw.metrics import advance
from pylm_lab.draw.scene import Text
from pylm_lab.draw.style import THEMES
from pylm_lab.errors import LabError, WiringError
from pylm_lab.hook import Hook
from pylm_lab.trace import Trace

FORMATS = ("svg", "pdf", "png")


@pytest.fixture
def picture() -> Picture:
    return draw(master())


def saved(picture: Picture, folder: Path, suffix: str) -> bytes:
    return picture.save(folder / f"picture.{suffix}").read_bytes()


def pixels(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


# -------------------------------------------------------------------------------- a figure like any


def test_a_picture_is_a_figure_of_the_size_of_its_scene(picture: Picture) -> None:
    assert isinstance(picture, Figure)
    assert isinstance(picture.canvas, FigureCanvasAgg)
    width, height = picture.get_size_inches() * picture.dpi
    assert (width, height) == pytest.approx((picture.scene.width, picture.scene.height))
    assert len(picture.artists) > 100


def test_pyplot_knows_nothing_of_it() -> None:
    code = (
        "import sys; from router_cases import master; from pylm_lab.draw.figure import draw;"
        "draw(master())._repr_mimebundle_(); print('matplotlib.pyplot' in sys.modules)"
    )
    assert run(code) == "False"


def run(code: str, **env: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_scene_is_imported_without_matplotlib() -> None:
    code = (
        "import sys, pylm_lab.draw, pylm_lab.draw.scene, pylm_lab.draw.layout;"
        "print('matplotlib' in sys.modules);"
        "print(pylm_lab.draw.Picture.__name__, 'matplotlib' in sys.modules)"
    )
    assert run(code).split() == ["False", "Picture", "True"]


def test_pictures_are_made_and_saved_in_threads(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    found: dict[int, bytes] = {}

    def work(n: int) -> None:
        folder = tmp_path / str(n)
        folder.mkdir()
        found[n] = saved(draw(master()), folder, "svg")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 4
    assert len(set(found.values())) == 1
    assert dict(mpl.rcParams) == before


# --------------------------------------------------------------------------------- the same, always


WILD: Any = {
    "figure.autolayout": True,
    "figure.dpi": 37,
    "figure.facecolor": "red",
    "figure.frameon": False,
    "font.family": "monospace",
    "font.size": 30,
    "font.weight": "bold",
    "lines.antialiased": False,
    "lines.scale_dashes": False,
    "patch.antialiased": False,
    "patch.linewidth": 9,
    "path.simplify_threshold": 1.0,
    "path.sketch": (5, 50, 5),
    "path.snap": False,
    "savefig.bbox": "tight",
    "savefig.dpi": 20,
    "savefig.facecolor": "blue",
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "svg.hashsalt": None,
    "text.antialiased": False,
    "text.color": "red",
    "text.hinting": "none",
    "text.parse_math": True,
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_rc_params_have_no_say_and_are_left_alone(suffix: str, tmp_path: Path) -> None:
    usual = saved(draw(master()), tmp_path, suffix)
    with mpl.rc_context(WILD):
        before = dict(mpl.rcParams)
        assert saved(draw(master()), tmp_path, suffix) == usual
        assert dict(mpl.rcParams) == before


def test_rc_params_have_no_say_in_savefig(picture: Picture) -> None:
    def png() -> bytes:
        out = io.BytesIO()
        picture.savefig(out)
        return out.getvalue()

    usual = png()
    with mpl.rc_context(WILD):
        assert png() == usual
    assert pixels(usual).size == (700, picture.scene.height)


def test_rc_params_have_no_say_in_drawing_on_its_canvas() -> None:
    def drawn() -> bytes:
        canvas = draw(master()).canvas
        assert isinstance(canvas, FigureCanvasAgg)
        canvas.draw()  # type: ignore[no-untyped-call]
        return bytes(canvas.buffer_rgba())  # type: ignore[no-untyped-call]

    usual = drawn()
    with mpl.rc_context(WILD):
        assert drawn() == usual


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_picture_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    picture = draw(master())
    once = saved(picture, tmp_path, suffix)
    assert saved(picture, tmp_path, suffix) == once
    assert saved(draw(master()), tmp_path, suffix) == once
    assert saved(draw(master(), theme="dark"), tmp_path, suffix) != once


def test_no_hash_seed_has_a_say(tmp_path: Path) -> None:
    code = (
        "import sys, hashlib; from pathlib import Path; from router_cases import CASES;"
        "from pylm_lab.draw.figure import draw; p = draw(CASES['many']());"
        f"folder = Path({str(tmp_path)!r});"
        f"print([hashlib.sha256(p.save(folder / f'p.{{s}}').read_bytes()).hexdigest()"
        f" for s in {FORMATS!r}])"
    )
    assert run(code, PYTHONHASHSEED="1") == run(code, PYTHONHASHSEED="2")


@pytest.mark.parametrize("suffix", FORMATS)
def test_no_date_and_no_version_is_in_a_file(suffix: str, picture: Picture, tmp_path: Path) -> None:
    data = saved(picture, tmp_path, suffix)
    for word in (mpl.__version__, "Date", "matplotlib.org", "Software", "Producer"):
        assert word.encode() not in data, word


# ------------------------------------------------------------------------------------------- saving


def test_a_picture_is_saved_after_its_suffix(picture: Picture, tmp_path: Path) -> None:
    assert saved(picture, tmp_path, "svg").startswith(b"<?xml")
    assert saved(picture, tmp_path, "pdf").startswith(b"%PDF")
    assert saved(picture, tmp_path, "PNG").startswith(b"\x89PNG")
    assert picture.save(str(tmp_path / "text.png")) == tmp_path / "text.png"


def test_a_png_has_two_pixels_for_one_unless_told(picture: Picture, tmp_path: Path) -> None:
    width, height = picture.scene.width, picture.scene.height
    assert pixels(saved(picture, tmp_path, "png")).size == (2 * width, 2 * height)
    small = picture.save(tmp_path / "small.png", scale=1)
    assert pixels(small.read_bytes()).size == (width, height)


def test_another_suffix_is_told(picture: Picture, tmp_path: Path) -> None:
    for name in ("picture.gif", "picture"):
        with pytest.raises(LabError, match=rf"'{name}': end the name in \.svg, \.pdf, \.png"):
            picture.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_file_appears_whole_or_not_at_all(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OSError, match=r"taken\.png"):
        picture.save(tmp_path / "taken.png")
    with pytest.raises(FileNotFoundError):
        picture.save(tmp_path / "nowhere" / "picture.png")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.png"]
    old = tmp_path / "picture.svg"
    old.write_bytes(b"old")
    broken = draw(master())
    monkeypatch.setattr(broken.artists[0], "draw", failing)
    with pytest.raises(ArithmeticError):
        broken.save(old)
    assert old.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["picture.svg", "taken.png"]


def failing(*_: object) -> None:
    raise ArithmeticError


# -------------------------------------------------------------------------------------- told to all


def test_an_svg_tells_what_it_shows(picture: Picture, tmp_path: Path) -> None:
    root = ET.fromstring(saved(picture, tmp_path, "svg"))
    ns = "{http://www.w3.org/2000/svg}"
    title, desc = root.find(f"{ns}title"), root.find(f"{ns}desc")
    assert title is not None
    assert desc is not None
    assert title.text == picture.scene.title
    assert desc.text == picture.alt
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert (root.get("width"), root.get("height")) == ("700", str(picture.scene.height))
    assert not root.findall(f".//{ns}text"), "texts are outlines, alike everywhere"
    assert not root.findall(f".//{ns}metadata")


def test_a_png_and_a_pdf_tell_it_too(picture: Picture, tmp_path: Path) -> None:
    text = Image.open(io.BytesIO(saved(picture, tmp_path, "png"))).info
    assert (text["Title"], text["Description"]) == (picture.scene.title, picture.alt)
    assert b"/Title (Inside the master" in saved(picture, tmp_path, "pdf")


def test_a_notebook_shows_it_with_its_alt_text(picture: Picture) -> None:
    data, about = picture._repr_mimebundle_()
    assert data["text/plain"] == picture.alt == picture.scene.alt
    image = data["image/png"]
    assert isinstance(image, bytes)
    assert pixels(image).size == (1400, 2 * picture.scene.height)
    assert about["image/png"] == {
        "width": 700,
        "height": picture.scene.height,
        "alt": picture.alt,
    }
    assert repr(picture) == "<Picture: Inside the master: ten messages, two workers>"


# ------------------------------------------------------------------------------------ what is drawn


def test_the_ground_is_opaque_and_of_the_theme(tmp_path: Path) -> None:
    names: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for name in names:
        data = saved(draw(master(), theme=name), tmp_path, "png")
        assert pixels(data).getpixel((2, 2)) == rgb(THEMES[name].paper)
        assert Image.open(io.BytesIO(data)).getchannel("A").getextrema() == (255, 255)


def test_a_run_has_the_colour_of_its_row(tmp_path: Path) -> None:
    picture = draw(master())
    image = pixels(saved(picture, tmp_path, "png"))
    for link, row in ((("client", "server.Pull"), 0), (("server.Pub", "client"), 1)):
        (x, a), (_, b) = picture.scene.runs[link][1:3]
        at = (round(2 * x), round(2 * (a + (b - a) * 0.2)))
        assert image.getpixel(at) == rgb(THEMES["light"].rows[row])


def test_a_wire_that_is_crossed_gives_way(tmp_path: Path) -> None:
    """Where rows 1 and 2 cross, the one on top lies in paper."""
    picture = draw(master())
    image = pixels(saved(picture, tmp_path, "png"))
    theme = THEMES["light"]
    run = picture.scene.row_runs["server.WorkerPull", "server.Pub"]
    (x0, y0), (x1, y1) = run[1], run[2]
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    assert image.getpixel((round(2 * x), round(2 * y))) == rgb(theme.rows[1])
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    across = (-(y1 - y0) / length * 3, (x1 - x0) / length * 3)
    for way in (1, -1):
        at = (round(2 * (x + way * across[0])), round(2 * (y + way * across[1])))
        assert image.getpixel(at) == rgb(theme.paper)


def test_only_a_lit_row_is_lit(picture: Picture) -> None:
    lit = mpl.colors.to_rgba(THEMES["light"].lit)
    patches = [artist for artist in picture.artists if isinstance(artist, PathPatch)]
    assert len(patches) > 50
    assert not [patch for patch in patches if patch.get_facecolor() == lit]


def test_items_are_painted_in_their_order(picture: Picture) -> None:
    orders = [artist.get_zorder() for artist in picture.artists]
    assert orders == sorted(orders)
    assert len(set(orders)) == len(orders)


@pytest.mark.parametrize("suffix", FORMATS)
def test_hostile_names_are_drawn_as_they_are(suffix: str, tmp_path: Path) -> None:
    """No mathematics, no warning (they are errors here), no broken file; what the font lacks: �."""
    picture = draw(CASES["hostile names"]())
    data = saved(picture, tmp_path, suffix)
    shown = [artist.get_text() for artist in picture.artists if isinstance(artist, Words)]
    assert any(text.startswith("$$x^2") for text in shown)
    assert any("��" in text for text in shown)
    if suffix == "svg":
        ET.fromstring(data)


def test_a_title_may_be_anything(tmp_path: Path) -> None:
    title = '$\\alpha$ <b>&amp; "quoted"\x00\n--> ]]> ' + "long " * 40_000
    picture = draw(master(), title=title, subtitle=title)
    root = ET.fromstring(saved(picture, tmp_path, "svg"))
    assert root.get("role") == "img"
    saved(picture, tmp_path, "pdf")
    saved(picture, tmp_path, "png")


# -------------------------------------------------------------------------------- what can be drawn


class Cluster:
    """Has a trace."""

    def __init__(self, trace: object) -> None:
        self.trace = trace


class Server:
    """Has not run, and declares its parts."""

    def declare(self, hook: Hook) -> None:
        made = Made()
        made.recorder = hook  # type: ignore[assignment]
        master_parts(made)


def test_what_has_a_trace_or_declares_itself_is_drawn() -> None:
    trace = master()
    assert draw(Cluster(trace)).scene == router_scene(trace)
    assert draw(Server()).scene == router_scene(declared())


@pytest.mark.parametrize("what", [None, 42, "server", Cluster(None), [Trace()]])
def test_what_can_not_be_drawn_is_told(what: object) -> None:
    with pytest.raises(LabError, match=f"can't draw a {type(what).__name__}: give a Trace"):
        draw(what)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"view": "rooter"}, "no view 'rooter': choose one of 'router'"),
        ({"theme": "pink"}, "no theme 'pink': choose one of 'light', 'dark'"),
        ({"format": "poster"}, "no format 'poster': choose one of 'column', 'slide'"),
    ],
)
def test_an_unknown_choice_is_told_with_those_there_are(options: dict[str, str], said: str) -> None:
    with pytest.raises(LabError) as caught:
        draw(master(), **options)  # type: ignore[arg-type]
    assert str(caught.value) == said


def test_errors_of_the_layout_come_through() -> None:
    with pytest.raises(WiringError, match="no server 'other'"):
        draw(master(), server="other")
    with pytest.raises(LabError, match="nothing to draw"):
        draw(Trace())


def test_every_option_reaches_the_scene() -> None:
    scene = draw(master(), format="slide", title="A", subtitle="B").scene
    assert (scene.width, scene.title, scene.subtitle) == (800, "A", "B")


# ------------------------------------------------------------------------------------------ metrics


def test_the_table_of_widths_is_that_of_the_font() -> None:
    """`python tests/dejavu_widths.py` writes it."""
    found = dejavu_widths.TABLE.read_text(encoding="utf-8")
    if "site-packages" not in str(dejavu.__file__):
        assert Path(str(dejavu.__file__)).read_text(encoding="utf-8") == found
    assert (
        hashlib.sha256(found.encode()).digest()
        == hashlib.sha256(dejavu_widths.table().encode()).digest()
    )


@pytest.mark.parametrize("case", ["many", "long names", "hostile names", "gateway"])
@pytest.mark.parametrize("format", ["column", "slide"])
def test_no_text_is_wider_than_was_measured(case: str, format: str) -> None:
    scene = router_scene(CASES[case](), format=format)  # type: ignore[arg-type]
    real = words(scene)
    for item in scene.items:
        if isinstance(item, Text) and item.text:
            width = real[item.id].x1 - real[item.id].x0
            assert width <= advance(item.text, item.size, item.bold) + 1, item.text


def test_scripts_that_the_table_lacks_are_measured_generously() -> None:
    scene = router_scene(master())
    for text in ("漢字漢字", "שלום", "مرحبا", "😀😀", "ǅǅǅ", "﷽"):
        items = tuple(
            replace(item, text=text) if isinstance(item, Text) and item.id == "title" else item
            for item in scene.items
        )
        rect = words(replace(scene, items=items))["title"]
        assert rect.x1 - rect.x0 <= advance(text, 16, bold=True) + 1, text
