"""The player in a real browser, opened from disk, with no network."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from builder import Build, message
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from test_player import HOSTILE, hostile, run

from pylm_lab.draw.player import play
from pylm_lab.draw.story import EVERY, tell
from pylm_lab.draw.style import THEMES
from pylm_lab.draw.svg import identity
from pylm_lab.trace import Trace

pytestmark = pytest.mark.timeout(120)

Open = Callable[..., Any]

WALK = """
const [button, limit] = arguments;
const told = [];
for (let n = 0; n < limit && !document.getElementById(button).disabled; n += 1) {
  document.getElementById(button).click();
  told.push(document.getElementById("sentence").textContent);
}
return told;
"""


@pytest.fixture(scope="module")
def trace() -> Trace:
    return run(3).end()


@pytest.fixture(scope="module")
def sentences(trace: Trace) -> list[str]:
    return [step.sentence for step in tell(trace)]


def where(tab: Any) -> str:
    return str(tab.text("where"))


# ---------------------------------------------------------------------------------------- stepping


def test_it_steps_to_the_end_and_back(opened: Open, trace: Trace, sentences: list[str]) -> None:
    tab = opened(play(trace).html)
    assert where(tab) == "step 1 of 24"
    assert tab.text("sentence") == sentences[0]
    assert tab.run(WALK, "step", 99) == sentences[1:]
    assert where(tab) == "step 24 of 24"
    assert tab.run(WALK, "back", 99) == sentences[-2::-1]
    assert where(tab) == "step 1 of 24"


def test_buttons_lead_to_the_ends(opened: Open, trace: Trace, sentences: list[str]) -> None:
    tab = opened(play(trace).html)
    disabled = "return [...document.querySelectorAll('.bar button:disabled')].map((b) => b.id)"
    assert tab.run(disabled) == ["first", "back"]
    tab.press("last")
    assert tab.text("sentence") == sentences[-1]
    assert tab.run(disabled) == ["step", "last"]
    tab.press("first")
    assert tab.text("sentence") == sentences[0]


def test_keys_do_what_the_help_line_says(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    for key, place in [
        (Keys.ARROW_RIGHT, 2),
        (Keys.ARROW_RIGHT, 3),
        (Keys.ARROW_LEFT, 2),
        (Keys.END, 24),
        (Keys.HOME, 1),
    ]:
        tab.keys(key)
        assert where(tab) == f"step {place} of 24"
    speed = "return document.getElementById('speed').selectedOptions[0].textContent"
    for key, shown in [("+", "2×"), ("+", "4×"), ("+", "4×"), ("-", "2×"), ("-", "1×")]:
        tab.keys(key)
        assert tab.run(speed) == shown
    hidden = "return document.getElementById('help').hidden"
    assert tab.run(hidden) is True
    tab.keys("?")
    assert tab.run(hidden) is False
    line = tab.text("keys")
    assert all(word in line for word in ("←", "→", "Home", "End", "space", "+", "−", "?"))


def test_the_slider_and_the_list_move_the_same_cursor(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    tab.browser.find_element("id", "scrub").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert where(tab) == "step 3 of 24"
    tab.run("document.querySelectorAll('.row')[6].click()")
    assert where(tab) == "step 7 of 24"
    assert tab.run("return document.getElementById('scrub').value") == "6"
    now = tab.run("return [...document.querySelectorAll('[aria-selected=true]')].map((r) => r.id)")
    assert now == ["row-6"]
    assert tab.run("return document.activeElement.id") == "scrub"
    tab.browser.find_element("id", "list").send_keys(Keys.ARROW_DOWN)
    assert where(tab) == "step 8 of 24"


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_it_plays_to_the_end(opened: Open, sentences: list[str], motion: str) -> None:
    tab = opened(play(run(1).end()).html, motion=motion)
    tab.run("""
        window.heard = [];
        new MutationObserver(() => window.heard.push(
            document.getElementById("sentence").textContent)
        ).observe(document.getElementById("sentence"), { childList: true });
    """)
    tab.keys("+", "+", " ")
    assert tab.run("return document.getElementById('play').ariaLabel") == "Pause"
    assert tab.run("return document.getElementById('sentence').ariaLive") == "off"
    wait = WebDriverWait(tab.browser, 30, poll_frequency=0.05)
    wait.until(lambda _: tab.run("return document.getElementById('play').ariaLabel") == "Play")
    assert where(tab) == "step 8 of 8"
    assert tab.run("return window.heard") == sentences[1:8]
    assert tab.run("return document.getElementById('sentence').ariaLive") == "polite"


def test_playing_can_be_stopped_and_goes_on_from_there(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    tab.keys(" ")
    wait = WebDriverWait(tab.browser, 30, poll_frequency=0.05)
    wait.until(lambda _: where(tab) == "step 2 of 24")
    tab.keys(" ")
    assert tab.run("return document.getElementById('play').ariaLabel") == "Play"
    tab.keys(" ")
    wait.until(lambda _: where(tab) == "step 3 of 24")
    tab.keys(Keys.ARROW_LEFT)
    assert tab.run("return document.getElementById('play').ariaLabel") == "Play"


def test_a_pause_holds_what_was_going_on(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    tab.run("window.setTimeout = (later) => { window.later = later; };")
    tab.keys(" ")
    assert where(tab) == "step 2 of 24"
    tab.run("window.later()")
    assert where(tab) == "step 3 of 24"
    tab.keys(" ")
    tab.run("window.later()")
    assert where(tab) == "step 3 of 24"


def test_one_message_can_be_followed(opened: Open, trace: Trace, sentences: list[str]) -> None:
    tab = opened(play(trace).html)
    choose = """
        const only = document.getElementById("only");
        only.value = [...only.options].find((o) => o.textContent === arguments[0]).value;
        only.dispatchEvent(new Event("change"));
    """
    tab.run(choose, "message 2")
    assert where(tab) == "step 1 of 8"
    assert [tab.text("sentence"), *tab.run(WALK, "step", 99)] == sentences[8:16]
    tab.run(choose, "all messages")
    assert where(tab) == "step 16 of 24"


def test_credits_and_requests_are_shown_on_request(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    tab.press("all")
    every = [step.sentence for step in tell(trace, kinds=EVERY)]
    assert where(tab) == f"step 3 of {len(every)}"
    tab.press("first")
    assert [tab.text("sentence"), *tab.run(WALK, "step", 99)] == every


def test_the_note_says_that_this_is_a_record_and_when_it_was(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    began = trace.events[next(hop.begins for hop in trace.hops if hop.kind == "message")].at
    note = f"recorded run · seeded 1 · step 1 of 24 · operation {began}"
    assert tab.text("note") == note
    free = Build(clock="ns").master().run(1, until="client:push").trace
    tab = opened(play(free).html)
    assert re.fullmatch(r"recorded run · free · step 1 of 1 · after 0\.0\d\d ms", tab.text("note"))


# ------------------------------------------------------------------------------------- the diagram


def test_the_diagram_shows_the_moment(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    tab.run(WALK, "step", 2)
    shown = {
        "status": "server.WorkerPush.status",
        "count": "row1.count",
    }
    assert tab.text(identity(shown["status"])) == "next: message 1"
    assert tab.text(identity(shown["count"])) == "1"
    lit = tab.run("return [...document.querySelectorAll('.decides')].map((n) => n.id)")
    assert identity("row1.lit") in lit
    assert all(item.startswith(identity("row1.")) for item in lit)
    weight = "return getComputedStyle(document.getElementById(arguments[0])).fontWeight"
    assert tab.run(weight, identity("row1.from")) == "700"
    assert tab.run(weight, identity("row2.from")) == "400"
    ways = tab.run("""
        return [...document.querySelectorAll("#glow polyline")].map((n) => n.className.baseVal);
    """)
    assert ways == ["way", "way", "run"]
    # The wires lie on their glow, without the paper that cuts what they cross.
    assert tab.run("return document.querySelectorAll('#glow .wire').length") >= 5
    assert tab.run("return document.querySelectorAll('#glow .casing').length") == 0


def test_the_message_stops_before_who_takes_it(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    token = """
        const box = document.querySelector("#token rect").getBoundingClientRect();
        const part = document.getElementById(arguments[0]).getBoundingClientRect();
        const middle = (rectangle) => (rectangle.top + rectangle.bottom) / 2;
        return [part.left - box.right, Math.abs(middle(box) - middle(part))];
    """
    gap, off = tab.run(token, identity("server.Pull"))
    assert 0 < gap < 20
    assert off < 3
    assert tab.run("return document.querySelector('#token text').textContent") == "1"


def test_at_the_end_the_counts_are_those_of_the_scene(opened: Open, trace: Trace) -> None:
    html = play(trace).html
    tab = opened(html)
    counter = r'id="(i-[^"]*\.count)"[^>]*>(?:<rect[^>]*>)?(?:<text[^>]*>)?([\d,]+)<'
    before = re.findall(counter, html)
    assert len(before) >= 9
    tab.press("last")
    assert [(item, tab.text(item)) for item, _ in before] == before
    tab.press("first")
    assert tab.text(identity("client.count")) == "0"


def test_messages_rest_at_who_holds_them(opened: Open) -> None:
    build = run(1).run(2, until="worker1:pull").run(3, until="server.Pull:listen_to")
    for n in range(4, 10):
        build.run(n, until="client:push")
    tab = opened(play(build.trace).html)
    tab.press("last")
    discs = tab.run("""
        return [...document.querySelectorAll("#rest .body")].map(
          (g) => [g.textContent, g.firstChild.className.baseVal]);
    """)
    # Two are held; five wait for Pull: of both kinds three are named, and the rest are counted.
    assert discs == [["3", ""], ["4", "waits"], ["5", "waits"], ["+3", "waits"], ["2", ""]]


def test_a_lost_message_stops_half_way_with_a_cross(opened: Open) -> None:
    build = run(1).run(2, until="server.WorkerPush:broker")
    build.drop("server.WorkerPush:listen_to", message(2), cause="a rule")
    tab = opened(play(build.end()).html)
    pill = """
        const pill = document.querySelector('[id$="lost"][id^="i-server"]');
        return getComputedStyle(pill).visibility;
    """
    assert tab.run(pill) == "hidden"
    tab.press("last")
    assert tab.text("sentence") == "Message 2 is lost between WorkerPush and the workers: a rule."
    assert tab.run("return document.querySelectorAll('#token .cross').length") == 1
    half, token = tab.run("""
        const run = document.querySelector("#glow .run");
        const { x, y } = run.getPointAtLength(run.getTotalLength() / 2);
        const place = document.querySelector("#token g").getAttribute("transform");
        return [[x, y], place.match(/-?[\\d.]+/g).map(Number)];
    """)
    assert token == pytest.approx(half, abs=1)
    assert tab.run(pill) == "visible"


def test_it_moves_unless_the_reader_wants_it_still(opened: Open, trace: Trace) -> None:
    """Where it was in each frame after a step: many places, or one."""
    places = """
        const done = arguments[0];
        const seen = new Set();
        document.getElementById("step").click();
        let frames = 0;
        const look = () => {
          seen.add(document.querySelector("#token g").getAttribute("transform"));
          frames += 1;
          if (frames < 12) requestAnimationFrame(look); else done(seen.size);
        };
        look();
    """
    still = opened(play(trace).html, motion="reduce")
    assert still.browser.execute_async_script(places) == 1
    moves = opened(play(trace).html, motion="no-preference")
    assert moves.browser.execute_async_script(places) > 3


# ----------------------------------------------------------------------------------- the inspector


def inspected(tab: Any) -> list[list[str]]:
    rows = tab.run("""
        return [...document.querySelectorAll("#inspector tr")].map(
          (row) => [...row.children].map((cell) => cell.textContent));
    """)
    return [list(map(str, row)) for row in rows]


def test_the_inspector_shows_every_frame_of_both_ends(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    tab.run(WALK, "step", 1)
    captions = tab.run("""
        return [...document.querySelectorAll("#inspector caption")].map((c) => c.textContent);
    """)
    assert captions[:2] == [
        "frames that Pull sends (DEALER)",
        "frames that the router takes (ROUTER)",
    ]
    size = len(message(1))
    assert inspected(tab)[:5] == [
        ["delimiter", "0 B", ""],
        ["message", f"{size} B", ""],
        ["routing id", "4 B", "Pull"],
        ["delimiter", "0 B", ""],
        ["message", f"{size} B", ""],
    ]
    assert ["function", "server.foo"] in inspected(tab)
    assert ["payload", "a message"] in inspected(tab)


def test_the_inspector_marks_what_has_changed(opened: Open) -> None:
    build = Build().master().run(1, until="worker1:pull")
    done = message(1, clock=7, payload=b"worker1 processed a message")
    tab = opened(play(build.run(1, since="worker1:push", data=done).end()).html)
    tab.run(WALK, "step", 4)
    marked = tab.run("""
        return [...document.querySelectorAll("#inspector .new")].map(
          (row) => [...row.children].map((cell) => cell.textContent).join(" | "));
    """)
    assert marked == [
        "payload | worker1 processed a messagewas a message",
        "clock | 7was 1",
    ]
    tab.run(WALK, "step", 1)
    assert tab.run("return document.querySelectorAll('#inspector .new').length") == 0


# ------------------------------------------------------------------------------------ hostile texts


def test_hostile_texts_are_shown_as_text(opened: Open) -> None:
    tab = opened(play(hostile(), title=HOSTILE).html)
    tab.press("all")
    tab.press("first")
    seen = tab.text("inspector") + tab.text("sentence")
    while tab.run(WALK, "step", 1):
        seen += tab.text("inspector") + tab.text("sentence")
    assert "</script><img src=x onerror=alert(1)>&amp;\\u2028\\u202e\\x00\\x07 $x$" in seen
    assert tab.run("return document.images.length + document.scripts.length") == 2
    assert tab.run("return document.title").startswith("</script><img")


def test_the_script_leaves_no_names_behind(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    leaked = tab.run("""
        const clean = document.body.appendChild(document.createElement("iframe"));
        const known = new Set(Object.getOwnPropertyNames(clean.contentWindow));
        const ours = (n) => !known.has(n) && !/^(\\d+|\\$?cdc_)/.test(n);
        return Object.getOwnPropertyNames(window).filter(ours);
    """)
    assert leaked == []


# -------------------------------------------------------------------------------- how it looks


def test_on_a_phone_it_is_one_column_with_the_diagram_first(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html, width=360, height=740)
    tops = tab.run("""
        return ["stage", "sentence", "controls", "list", "inspector"].map(
          (id) => document.getElementById(id).getBoundingClientRect().top);
    """)
    assert tops == sorted(tops)
    assert tab.run("return document.documentElement.scrollWidth") <= 360
    assert tab.run("return document.getElementById('play').getBoundingClientRect().bottom") < 740
    wide = "return document.querySelector('svg.scene').getBoundingClientRect().width"
    assert tab.run(wide) <= 360
    tab.press("zoom")
    assert tab.run(wide) > 700
    tab.press("last")
    middle = tab.run("""
        const box = document.querySelector("#token rect").getBoundingClientRect();
        return box.left > 0 && box.right < 360;
    """)
    assert middle is True
    assert tab.run("return document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark"), (360, "light")])
def test_what_the_record_does_not_tell_is_read_at_every_width(
    opened: Open, trace: Trace, width: int, scheme: str
) -> None:
    partial = replace(trace, forgotten=12_345, cut=tuple(actor.id for actor in trace.actors))
    tab = opened(play(partial).html, width=width, height=800, scheme=scheme)
    assert tab.text("gaps").startswith("12,345 earlier events are forgotten. The records of server")
    left, right, size, colour = tab.run("""
        const gaps = document.getElementById("gaps");
        const [box, look] = [gaps.getBoundingClientRect(), getComputedStyle(gaps)];
        return [box.left, box.right, parseFloat(look.fontSize), look.color];
    """)
    assert 0 < left < right < width
    assert size >= 13
    ink = THEMES[scheme].ink
    assert colour == f"rgb({', '.join(str(int(ink[n : n + 2], 16)) for n in (1, 3, 5))})"
    assert tab.run("return document.documentElement.scrollWidth") <= width
    # It stays, whichever step is shown.
    tab.press("last")
    assert "12,345" in tab.text("gaps")


def test_a_record_without_a_step_says_so(opened: Open) -> None:
    tab = opened(play(replace(run(1).end(), events=(), forgotten=9)).html)
    assert where(tab) == "no step"
    assert tab.text("sentence") == "Nothing of this kind happens in this record."
    assert tab.text("gaps") == "9 earlier events are forgotten."


def test_on_a_desktop_all_is_on_one_screen_side_by_side(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html, width=1200, height=760)
    left, right = tab.run("""
        return ["stage", "list"].map((id) => {
          const box = document.getElementById(id).getBoundingClientRect();
          return [box.left, box.right, box.top, box.bottom];
        });
    """)
    assert left[1] <= right[0]
    assert right[2] < left[3]
    assert tab.run("return document.documentElement.scrollHeight") <= 760


@pytest.mark.parametrize(
    ("theme", "scheme", "shown"),
    [
        ("auto", "light", "light"),
        ("auto", "dark", "dark"),
        ("light", "dark", "light"),
        ("dark", "light", "dark"),
    ],
)
def test_the_theme_is_the_readers_or_the_authors(
    opened: Open, trace: Trace, theme: Any, scheme: str, shown: str
) -> None:
    tab = opened(play(trace, theme=theme).html, scheme=scheme)
    colour = tab.run("return getComputedStyle(document.body).backgroundColor")
    paper = bytes.fromhex(THEMES[shown].paper[1:])
    assert colour == f"rgb({paper[0]}, {paper[1]}, {paper[2]})"


def test_every_control_has_a_name_and_shows_the_focus(opened: Open, trace: Trace) -> None:
    tab = opened(play(trace).html)
    order = []
    for _ in range(10):
        tab.keys(Keys.TAB)
        active = tab.browser.switch_to.active_element
        order.append(active.get_attribute("id"))
        assert active.accessible_name, order
        assert active.value_of_css_property("outline-style") == "solid", order
    assert order == [
        "play",
        "step",
        "last",
        "scrub",
        "speed",
        "only",
        "all",
        "more",
        "list",
        "inspector",
    ]


def test_ten_thousand_hops_stay_smooth(opened: Open) -> None:
    tab = opened(play(run(1_250).end()).html)
    assert where(tab) == "step 1 of 10,000"
    times = tab.run("""
        const times = [];
        for (const id of ["last", "back", "back", "first", "step", "step", "last"]) {
          const begin = performance.now();
          document.getElementById(id).click();
          document.body.getBoundingClientRect();
          times.push(performance.now() - begin);
        }
        return times;
    """)
    assert max(times) < 250
    assert tab.run("return document.querySelectorAll('.row').length") < 60
    assert where(tab) == "step 10,000 of 10,000"


# --------------------------------------------------------------------------------------- notebooks

NOTEBOOK = "<!DOCTYPE html><meta charset=utf-8><title>notebook</title><body>{}"


def test_it_runs_in_the_frame_that_a_notebook_shows(
    opened: Open, trace: Trace, sentences: list[str]
) -> None:
    tab = opened(NOTEBOOK.format(play(trace)._repr_mimebundle_()[0]["text/html"]))
    tab.browser.switch_to.frame(0)
    assert tab.text("sentence") == sentences[0]
    assert tab.run(WALK, "step", 99) == sentences[1:]
    tab.browser.switch_to.default_content()


def test_where_frames_are_taken_out_the_picture_is_left(opened: Open, trace: Trace) -> None:
    page = play(trace)._repr_mimebundle_()[0]["text/html"]
    stripped = re.sub(r"<iframe.*?</iframe>", "", page, flags=re.DOTALL)
    tab = opened(NOTEBOOK.format(re.sub(r' style="[^"]*"', "", stripped)))
    size = tab.run("return [document.images[0].naturalWidth, document.images[0].complete]")
    assert size == [700, True]
    assert tab.run("return document.images[0].alt").startswith("Server: inbound parts Pull")
