"""Space and time: a trace as a table with a column for each actor."""

from __future__ import annotations

import re
from typing import Any

import pytest
from builder import Build, count_made, message

import pylm_lab as lab
from pylm_lab.trace import Trace
from pylm_lab.trace.show.excerpt import columns


def programs(*payloads: bytes) -> Build:
    """Two programs, of which one asks the other so often."""
    build = Build()
    for id in ("asker", "server"):
        build.actor(id, "program")
    both: dict[str, Any] = {"sends": "message", "receives": "message"}
    build.port("server:rep", "REP", "inproc://here", binds=True, **both)
    build.port("asker:req", "REQ", "inproc://here", **both)
    for payload in payloads:
        build.cross("asker:req", "server:rep", payload)
        build.cross("server:rep", "asker:req", b"re: " + payload)
    return build


def test_a_message_goes_from_column_to_column() -> None:
    assert str(programs(b"hello").trace.spacetime()).splitlines() == [
        "Space and time: 4 rows, 2 actors, free",
        "",
        "step  asker                  server",
        '   3  → server: "hello"      │',
        '   4  │                      ← asker: "hello"',
        '   5  │                      → asker: "re: hello"',
        '   6  ← server: "re: hello"  │',
    ]


def test_the_page_that_is_asked_for_is_shown() -> None:
    trace = programs(*(b"%d" % n for n in range(30))).trace
    whole = trace.spacetime(rows=120)
    assert len(whole) == 120
    rows = str(whole).splitlines()[3:]
    assert len(rows) == 120
    first = str(trace.spacetime()).splitlines()
    assert first[0] == "Space and time: rows 1 to 40 of 120, 2 actors, free"
    assert first[-1] == "… 80 more: trace.spacetime(first=40)"
    later = str(trace.spacetime(first=100, rows=10)).splitlines()
    assert later[0].startswith("Space and time: rows 101 to 110 of 120")
    assert [line.split()[0] for line in later[3:-1]] == [row.split()[0] for row in rows[100:110]]
    assert later[-1] == "… 10 more: trace.spacetime(first=110)"
    assert "none from the 120th on" in str(trace.spacetime(first=120))


def test_a_trace_of_nothing_says_so() -> None:
    for trace in (Trace(), Build().actor("alone", "program").trace):
        assert str(trace.spacetime()) == "Space and time: nothing was sent or received"
        assert "nothing was sent" in trace.spacetime()._repr_html_()


def test_what_never_came_or_was_given_up_is_told() -> None:
    build = programs()
    build.receive("server:rep", b"two")
    build.drop("server:rep", b"two", cause="there is no room")
    build.send("asker:req", b"one")
    build.fault("server", "crash", why="a rule ends it")
    build.hook.actor_failed("asker", ValueError("no"), build.tick())
    told = str(build.trace.spacetime())
    assert '→ server (not received): "one"' in told
    assert '← ?: "two"' in told
    assert '✗ "two": there is no room' in told
    assert "! crash: a rule ends it" in told
    assert "! failed: ValueError: no" in told


def test_a_publication_names_each_of_its_subscribers() -> None:
    build = Build()
    for id in ("pub", "one", "two"):
        build.actor(id, "program")
    build.port("pub:pub", "PUB", "inproc://news", binds=True, sends="message")
    for id in ("one", "two"):
        build.port(f"{id}:sub", "SUB", "inproc://news", receives="message")
        build.subscribe(f"{id}:sub", b"", "pub:pub")
    build.send("pub:pub", b"news").receive("two:sub", b"news")
    assert '→ one (not received), two: "news"' in str(build.trace.spacetime())


def test_messages_have_their_numbers_and_acknowledgements_are_left_out() -> None:
    build = Build().master()
    build.run(1)
    build.send("server.router:inbound", b"Pull", b"", b"1")
    build.receive("server.Pull:broker", b"", b"1")
    table = build.end().spacetime()
    assert len(table) == 16
    told = str(table)
    assert '→ Pull: 1 "a mess' in told
    assert "2 rows of acknowledgements and echoes are left out." in told


def test_what_is_missing_of_a_record_is_said() -> None:
    trace = Trace(actors=programs().trace.actors, forgotten=3, cut=("asker",))
    for told in (str(trace.spacetime()), trace.spacetime()._repr_html_()):
        assert "3 earlier events are forgotten." in told
        assert "The record of asker ends early." in told


def test_foreign_text_stays_in_its_cell() -> None:
    payload = "<b>&\u202e\n".encode() + b"\0" * 100
    trace = programs(payload).trace
    assert len(str(trace.spacetime()).splitlines()) == 7
    page = trace.spacetime()._repr_html_()
    assert "<b>" not in page
    assert "\u202e" not in page
    assert "&lt;b&gt;&amp;" in page
    assert len(re.findall("<tr>", page)) == 5


def test_many_actors_take_no_more_width_than_they_must() -> None:
    trace = lab.scenarios["parallel"].run(seed=1)
    lines = str(trace.spacetime()).splitlines()
    assert len(lines) > 40
    narrow = programs(b"a payload that is long" * 9).trace
    assert max(map(columns, str(narrow.spacetime()).splitlines())) <= 140


def test_a_page_takes_its_colours_from_what_is_around_it() -> None:
    page = programs(b"hello").trace.spacetime()._repr_html_()
    assert "color:" not in re.sub(r"border-left: 1px solid rgba\(128, 128, 128, 0\.5\)", "", page)
    assert "background" not in page
    assert page.startswith('<div style="overflow-x: auto')
    assert page.count('scope="col"') == 3
    assert page.count('scope="row"') == 4


@pytest.mark.parametrize(("first", "rows"), [(-1, 1), (0, 0), (True, 1), (0, 2.5), ("0", 1)])
def test_numbers_of_rows_are_numbers(first: Any, rows: Any) -> None:
    with pytest.raises(ValueError, match="a number of rows"):
        Trace().spacetime(first, rows)


def test_a_page_of_a_long_trace_reads_no_more_than_it_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = programs()
    recorder = build.hook
    asker, server = build.ports["asker:req"], build.ports["server:rep"]
    for n in range(0, 100_000, 1000):
        batch = [[b"%d" % (n + i)] for i in range(1000)]
        recorder.hops_sent(asker, batch, build.tick())
        recorder.hops_received(server, batch, build.tick())
    trace = build.trace
    assert len(trace.hops) == 100_000
    made = count_made(monkeypatch)
    told = str(trace.spacetime(first=150_000))
    assert made.total() < 200
    assert "rows 150,001 to 150,040 of 200,000" in told
    assert message() not in told.encode()
