"""Store: a trace as a file and back, and what is said of a file that is none."""

from __future__ import annotations

import ast
import dataclasses
import gzip
import itertools
import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from builder import Build, message
from hypothesis import given, settings
from hypothesis import strategies as st

from pylm_lab.errors import LabError, OutputError, TraceFileError
from pylm_lab.hook import Actor, Decision, FaultKind, Kind, Port, Route
from pylm_lab.trace import Event, Trace
from pylm_lab.trace.file import store, writing
from pylm_lab.trace.file.lines import End, Header
from pylm_lab.trace.records import What


def small() -> Trace:
    """A run with a bit of everything in it."""
    about: dict[str, Any] = {"schedule": "seeded", "seed": 1, "scenario": "parallel"}
    build = Build(**about, options={"workers": 2, "messages": 10}).master()
    build.decide("inject", text="drop").decide("send", "client", "client:push")
    build.run(1).run(2, worker="worker2", until="server.WorkerPush:listen_to")
    build.cross("client:db", "server.Cache:listen_to", message(9, parent=1, clock=5))
    build.cross("server.Cache:listen_to", "client:db", b"caf\xc3\xa9 \xff \xe2\x80\xa8")
    build.drop("server.Pub:listen_to", b"client", message(3), cause="a \ud800 rule")
    build.send("server.Pub:listen_to", b"client", message(4))
    build.fault("client:sub", "drop", b"client", message(4), why="a rule drops the 1st message")
    build.fault("worker1", "crash", why="a rule crashes it")
    build.recorder.actor_failed("worker1", ValueError("<no>\n"), build.tick())
    return build.end()


@pytest.fixture
def lines(tmp_path: Path) -> list[str]:
    """The lines of a file that is right."""
    path = small().save(tmp_path / "right.jsonl")
    return path.read_text(encoding="utf-8").splitlines()


# ---------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("name", ["trace.jsonl", "trace.jsonl.gz", "TRACE.GZ", "no ending"])
def test_what_is_saved_is_loaded(tmp_path: Path, name: str) -> None:
    trace = small()
    path = trace.save(tmp_path / name)
    assert path == tmp_path / name
    assert Trace.load(path) == trace
    assert Trace.load(str(path)) == trace
    assert Trace.load(path).hops == trace.hops
    assert path.read_bytes().startswith(b"\x1f\x8b") is name.lower().endswith(".gz")


def test_an_empty_trace_is_a_trace(tmp_path: Path) -> None:
    assert Trace.load(Trace().save(tmp_path / "t")) == Trace()


def test_the_file_is_what_the_module_says(lines: list[str]) -> None:
    assert json.loads(lines[0]) == {
        "format": "pylm_lab trace",
        "version": 2,
        "schedule": "seeded",
        "seed": 1,
        "clock": "step",
        "scenario": "parallel",
        "lines": len(lines) - 1,
        "options": {"messages": 10, "workers": 2},
    }
    assert '"options":{"messages":10,"workers":2}' in lines[0], "sorted, so equal is the same bytes"
    kinds = [json.loads(line)["is"] for line in lines[1:]]
    assert kinds == sorted(kinds, key=["actor", "port", "route", "event", "decision"].index)
    assert (
        '{"is":"actor","id":"worker1","label":"worker1","role":"worker","kind":"Worker",'
        in lines[7]
    )
    assert lines[kinds.index("route") + 1] == (
        '{"is":"route","server":"server","number":1,"source":"server.Pull",'
        '"target":"server.WorkerPush"}'
    )
    # Whatever has its default is left out.
    assert (
        '"what":"fault","actor":"worker1","text":"a rule crashes it","fault":"crash"}'
        in lines[kinds.index("decision") - len(small().actors) - 1]
    )
    assert lines[-2] == '{"is":"decision","at":32,"kind":"inject","text":"drop"}'
    assert (
        lines[-1] == '{"is":"decision","at":32,"kind":"send","actor":"client","port":"client:push"}'
    )


def test_a_file_from_before_there_were_options_is_read(tmp_path: Path, lines: list[str]) -> None:
    header = json.loads(lines[0])
    del header["options"]
    header["lines"] -= 2
    old = [json.dumps(header), *(line for line in lines[1:] if '"is":"decision"' not in line)]
    path = tmp_path / "old.jsonl"
    path.write_text("\n".join(old), encoding="utf-8")
    found = Trace.load(path)
    assert (found.options, found.decisions) == ({}, ())
    assert found.events == small().events


def test_the_module_documents_every_field_and_every_word() -> None:
    text = store.__doc__ or ""
    parts = re.split(r'`"is": "(\w+)"`', text)
    told = dict(zip(parts[1::2], parts[2::2], strict=True))
    kinds: dict[str, type[Any]] = {
        "actor": Actor,
        "port": Port,
        "route": Route,
        "event": Event,
        "decision": Decision,
        "end": End,
    }
    assert set(told) == set(kinds)
    for name, record in kinds.items():
        names = re.findall(r"^(\w+)  ", told[name], re.MULTILINE)
        assert names == [field.name for field in dataclasses.fields(record)]
    header = re.findall(r"^(\w+)  ", parts[0], re.MULTILINE)
    assert header == [field.name for field in dataclasses.fields(Header)]
    for what in get_args(What):
        assert f"`{what}`" in told["event"]
    for role in get_args(get_type_hints(Actor)["role"]):
        assert f"`{role}`" in told["actor"]
    for fault in get_args(FaultKind):
        assert f"`{fault}`" in told["event"]


def test_the_same_trace_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.jsonl.gz"):
        first = small().save(tmp_path / name).read_bytes()
        again = Trace.load(tmp_path / name).save(tmp_path / f"again {name}").read_bytes()
        assert first == again == small().save(tmp_path / f"third {name}").read_bytes()
    assert gzip.decompress(first) == (tmp_path / "a.jsonl").read_bytes()


def test_lines_end_alike_and_hold_nothing_but_ascii(tmp_path: Path) -> None:
    data = small().save(tmp_path / "t").read_bytes()
    assert data.endswith(b"}\n")
    assert b"\r" not in data
    assert max(data) < 128
    # So also a program that takes U+2028 for the end of a line sees the same lines.
    assert len(data.decode().splitlines()) == data.count(b"\n")


def test_what_was_compressed_or_renamed_by_hand_is_loaded_too(tmp_path: Path) -> None:
    path = small().save(tmp_path / "t.jsonl")
    (tmp_path / "plain.gz").write_bytes(path.read_bytes())
    (tmp_path / "packed.jsonl").write_bytes(gzip.compress(path.read_bytes()))
    (tmp_path / "windows.jsonl").write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    (tmp_path / "no end.jsonl").write_bytes(path.read_bytes().rstrip())
    for name in ("plain.gz", "packed.jsonl", "windows.jsonl", "no end.jsonl"):
        assert Trace.load(tmp_path / name) == small()


TEXT = st.text(st.characters(), max_size=12)
SIZES = st.integers(0, (1 << 63) - 1)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Any trace that holds together."""
    names = draw(st.lists(TEXT, min_size=1, max_size=3, unique=True))
    words = get_args(Kind)
    actors = [
        Actor(
            id=name,
            label=draw(TEXT),
            role=draw(st.sampled_from(get_args(get_type_hints(Actor)["role"]))),
            kind=draw(TEXT),
            server=draw(TEXT),
            blocks=draw(st.booleans()),
        )
        for name in names
    ]
    ports = [
        Port(
            id=f"{name}:{n}",
            actor=name,
            socket=draw(TEXT),
            binds=draw(st.booleans()),
            outer=draw(st.booleans()),
            sends=draw(st.sampled_from(["", *words])),
            receives=draw(st.sampled_from(["", *words])),
        )
        for name in names
        for n in range(2)
    ]
    route = Route(server=draw(TEXT), number=1, source=names[0], target=names[-1], feedback="on")
    events = []
    for _ in range(draw(st.integers(0, 4))):
        what = draw(st.sampled_from(get_args(What)))
        port = draw(st.sampled_from(ports))
        hop = what in ("send", "receive", "drop") or (what == "fault" and draw(st.booleans()))
        bare = what in ("start", "stop", "fail") or (what == "fault" and not hop)
        events.append(
            Event(
                at=draw(st.integers(-(1 << 63), (1 << 63) - 1)),
                what=what,
                actor=port.actor,
                port="" if bare else port.id,
                kind=draw(st.sampled_from(words)) if hop else "",
                message=draw(TEXT),
                clock=draw(st.integers(0, 9) | st.integers(0, (1 << 64) - 1)),
                stage=draw(st.integers(-9, 9) | st.integers(-(1 << 63), (1 << 63) - 1)),
                sizes=tuple(draw(st.lists(st.integers(0, 9) | SIZES, max_size=3))),
                excerpt=draw(TEXT),
                text=draw(TEXT),
                fault=draw(st.sampled_from(get_args(FaultKind))) if what == "fault" else "",
            )
        )
    decisions = st.builds(Decision, at=st.integers(0, 99), kind=TEXT, actor=TEXT, port=TEXT)
    return Trace(
        actors=tuple(actors),
        ports=tuple(ports),
        routes=(route,),
        events=tuple(events),
        schedule=draw(TEXT),
        seed=draw(st.none() | st.integers()),
        clock=draw(st.sampled_from(["ns", "step"])),
        options=draw(st.dictionaries(TEXT, st.integers(-(1 << 63), (1 << 64) - 1), max_size=3)),
        decisions=tuple(draw(st.lists(decisions, max_size=3))),
        cut=tuple(draw(st.lists(st.sampled_from(names), unique=True))),
    )


@given(traces(), st.sampled_from(["t", "t.gz"]))
def test_any_trace_is_saved_and_loaded(
    tmp_path_factory: pytest.TempPathFactory, trace: Trace, name: str
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    found = Trace.load(trace.save(path))
    assert found == trace
    data = path.read_bytes()
    assert found.save(path).read_bytes() == data


# --------------------------------------------------------------------------------------- its place


def test_what_was_there_is_replaced_whole_or_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text("what was there", encoding="utf-8")

    def full(trace: Trace) -> Iterator[bytes]:
        yield from itertools.islice(writing.lines(trace), 20)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "lines", full)
        with pytest.raises(OutputError, match=r"trace\.jsonl can't be written: No space left"):
            small().save(path)
    assert path.read_text(encoding="utf-8") == "what was there"
    assert [file.name for file in tmp_path.iterdir()] == ["trace.jsonl"]
    small().save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["trace.jsonl"]


def test_an_interrupted_save_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(trace: Trace) -> Iterator[bytes]:
        yield from itertools.islice(writing.lines(trace), 20)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "lines", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small().save(tmp_path / "t.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["", "no such folder/t.jsonl"])
def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, place: str) -> None:
    with pytest.raises(OutputError) as caught:
        small().save(tmp_path / place)
    assert str(tmp_path / place) in str(caught.value)
    assert ".part" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name there")
def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="pipe is no file that could be replaced"):
        small().save(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.skipif(os.name == "nt", reason="symbolic links ask for a privilege there")
def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to("real.jsonl")
    small().save(tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert Trace.load(tmp_path / "real.jsonl") == small()


# -------------------------------------------------------------------------------- what is no trace


def refused(path: Path, data: bytes) -> str:
    """What is said of a file with this in it."""
    path.write_bytes(data)
    with pytest.raises(TraceFileError) as caught:
        Trace.load(path)
    assert isinstance(caught.value, LabError)
    assert isinstance(caught.value, ValueError)
    text = str(caught.value)
    assert text.startswith(str(path)), "it names the file"
    assert text.count(str(path)) == 1
    assert len(text) < len(str(path)) + 500, "it is short, whatever is in the file"
    assert text.isprintable()
    return text.removeprefix(str(path))


def with_line(lines: list[str], number: int, line: str) -> bytes:
    """The file with this in place of a line, counted from 1."""
    changed = [*lines[: number - 1], line, *lines[number:]]
    return "".join(f"{each}\n" for each in changed).encode("utf-8", "surrogatepass")


def with_field(lines: list[str], number: int, field: str, value: object) -> bytes:
    return with_line(lines, number, json.dumps({**json.loads(lines[number - 1]), field: value}))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "this is no trace: it is no JSON"),
        ("GIF89a", "this is no trace: it is no JSON"),
        ("[1]", "this is no trace: it is [1], but every line of a trace is a JSON object"),
        ("{}", 'this is no trace: `format` is null, not "pylm_lab trace"'),
        ('{"format":"notes"}', '`format` is "notes"'),
        ('{"format":"pylm_lab trace","version":3,"new":1}', "of version 3 of the format"),
        ('{"format":"pylm_lab trace","version":"1"}', '`version` is "1"'),
        ('{"format":"pylm_lab trace","version":true}', "`version` is true"),
        ('{"format":"pylm_lab trace","version":0}', "`version` is 0"),
        ('{"format":"pylm_lab trace","version":1}', "the field `schedule` is missing"),
        ("\ufeff{}", "this is no trace: it is no JSON"),
    ],
)
def test_the_first_line_says_what_the_file_is(
    tmp_path: Path, lines: list[str], line: str, says: str
) -> None:
    text = refused(tmp_path / "t.jsonl", with_line(lines, 1, line))
    assert text.startswith(", line 1: ")
    assert says in text


def test_a_newer_version_is_told_with_what_to_do(tmp_path: Path, lines: list[str]) -> None:
    text = refused(tmp_path / "t", with_field(lines, 1, "version", 12))
    assert "version 12" in text
    assert "reads only those up to 2" in text
    assert "--upgrade pylm-lab" in text


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("seed", "1", '`seed` is "1". It should be an integer or null'),
        ("seed", 1.5, "`seed` is 1.5"),
        ("seed", True, "`seed` is true"),
        ("clock", "days", '`clock` is "days". It should be one of "ns", "step"'),
        ("schedule", 3, "`schedule` is 3. It should be text"),
        ("lines", "3", '`lines` is "3". It should be an integer or null'),
        ("lines", True, "`lines` is true"),
        ("lines", 3, "the header announces 3 lines after it, and this is one more"),
        ("lines", 9999, "the file ends here, but its header announces 9999 lines"),
        ("lines", -1, "the header announces -1 lines after it, and this is one more"),
        ("colour", "red", '"colour" is no field of this line; there are format, version'),
        ("options", 3, "`options` is 3. It should be an object whose values are integers"),
        ("options", ["workers"], '`options` is ["workers"]. It should be an object'),
        ("options", {"workers": "2"}, '`options` is {"workers": "2"}. It should be an integer'),
        ("options", {"workers": True}, "It should be an integer"),
        ("options", {"workers": 1 << 64}, "It should be an integer of at most 64 bits"),
        ("lines", 5, "the header announces 5 lines after it, and this is one more"),
        ("cut", "client", '`cut` is "client". It should be a list of texts'),
        ("cut", ["client", 3], "It should be a list of texts"),
        ("cut", ["client", "nobody"], '`cut` names "nobody", but no line declares an actor'),
    ],
)
def test_a_header_is_held_to_its_fields(
    tmp_path: Path, lines: list[str], field: str, value: object, says: str
) -> None:
    assert says in refused(tmp_path / "t", with_field(lines, 1, field, value))


@pytest.mark.parametrize(
    ("line", "field", "value", "says"),
    [
        ("actor", "is", "actress", '`is` is "actress". It says what the line is: actor, port, '),
        ("actor", "is", ["actor"], '`is` is ["actor"]'),
        ("actor", "is", None, "`is` is null"),
        ("actor", "role", "boss", '`role` is "boss". It should be one of "inbound", "outbound"'),
        ("actor", "role", 3, "`role` is 3"),
        ("actor", "id", None, "`id` is null. It should be text"),
        ("actor", "blocks", 1, "`blocks` is 1. It should be true or false"),
        ("actor", "id", "client", 'a second actor has the id "client"'),
        ("port", "sends", "mail", '`sends` is "mail". It should be one of "message", "credit"'),
        ("port", "actor", "nobody", '`actor` is "nobody", but no line above declares an actor'),
        ("port", "id", "server.router:outbound", "a second port has the id"),
        ("port", "binds", "yes", '`binds` is "yes"'),
        ("route", "source", "nobody", '`source` is "nobody", but no line above'),
        ("route", "target", "nobody", '`target` is "nobody", but no line above'),
        ("route", "number", "1", '`number` is "1". It should be an integer'),
        ("route", "feedback", "later", '`feedback` is "later". It should be one of "", "waits"'),
        ("event", "at", 1.5, "`at` is 1.5. It should be an integer"),
        ("event", "at", True, "`at` is true. It should be an integer"),
        ("event", "at", 1 << 64, "It should be an integer of at most 64 bits"),
        ("event", "at", 1 << 63, "It should be an integer of at most 64 bits, its sign included"),
        (
            "event",
            "stage",
            1 << 63,
            "It should be an integer of at most 64 bits, its sign included",
        ),
        ("event", "clock", -1, "It should be an integer of at most 64 bits that is not negative"),
        ("event", "clock", 1 << 64, "It should be an integer of at most 64 bits"),
        ("event", "sizes", [1, 1 << 63], "It should be a list of integers of at most 63 bits"),
        ("event", "at", -(1 << 63) - 1, "It should be an integer of at most 64 bits"),
        ("event", "at", 10**4000, "It should be an integer of at most 64 bits"),
        ("event", "what", "sned", '`what` is "sned". It should be one of "bind", "connect"'),
        ("event", "kind", "gift", '`kind` is "gift". It should be one of "message"'),
        ("event", "kind", "message", 'an event whose `what` is "bind" has no `kind`'),
        ("event", "what", "send", 'an event whose `what` is "send" needs `kind`'),
        ("event", "what", "stop", 'an event whose `what` is "stop" has no `port`'),
        ("event", "port", "", 'an event whose `what` is "bind" needs `port`'),
        ("event", "port", "no:port", '`port` is "no:port", which no line above declares'),
        ("event", "actor", "nobody", '`actor` is "nobody", but no line above declares an actor'),
        ("event", "actor", "client", '"server.router:inbound" is one of "server.router", not of'),
        ("event", "fault", "drop", 'an event whose `what` is "bind" has no `fault`'),
        ("event", "fault", "gift", '`fault` is "gift". It should be one of "drop", "delay"'),
        ("event", "what", "fault", 'an event whose `what` is "fault" needs `fault`'),
        ("decision", "at", "1", '`at` is "1". It should be an integer'),
        ("decision", "kind", None, "`kind` is null. It should be text"),
        ("decision", "actor", 1, "`actor` is 1. It should be text"),
        ("decision", "fault", "drop", '"fault" is no field of this line; there are at, kind'),
        ("event", "sizes", 3, "`sizes` is 3. It should be a list of integers"),
        ("event", "sizes", ["3"], "It should be an integer"),
        ("event", "sizes", [-3], "a list of integers that are not negative"),
        ("event", "sizes", [[[]]], "`sizes` is [[[]]]"),
        ("event", "text", {"a": 1}, '`text` is {"a": 1}. It should be text'),
        ("event", "texts", "", '"texts" is no field of this line'),
        ("event", "\n\u202e", 1, '"\\n\\u202e" is no field of this line'),
        ("event", "text", ["x" * 10_000], "It should be text"),
    ],
)
def test_a_line_is_held_to_its_fields(
    tmp_path: Path, lines: list[str], line: str, field: str, value: object, says: str
) -> None:
    number = next(n for n, text in enumerate(lines, 1) if f'{{"is":"{line}"' in text)
    text = refused(tmp_path / "t", with_field(lines, number, field, value))
    assert re.match(r", line \d+: ", text)
    assert says in text
    if "second" not in says:  # which is the second of two is told where it is met
        assert text.startswith(f", line {number}: ")


@pytest.mark.parametrize(("change"), [{"port": ""}, {"kind": ""}])
def test_a_fault_is_at_a_port_with_frames_or_at_neither(
    tmp_path: Path, lines: list[str], change: dict[str, str]
) -> None:
    number = next(n for n, text in enumerate(lines, 1) if '"what":"fault"' in text)
    record = json.dumps({**json.loads(lines[number - 1]), **change})
    text = refused(tmp_path / "t", with_line(lines, number, record))
    assert f", line {number}: a fault has `port` and `kind` where it acts on frames" in text


def test_a_field_that_is_missing_is_named(tmp_path: Path, lines: list[str]) -> None:
    required = {
        "actor": "role",
        "port": "outer",
        "route": "target",
        "event": "at",
        "decision": "kind",
    }
    for line, field in required.items():
        number = next(n for n, text in enumerate(lines, 1) if f'{{"is":"{line}"' in text)
        record = json.loads(lines[number - 1])
        del record[field]
        text = refused(tmp_path / "t", with_line(lines, number, json.dumps(record)))
        assert text == (
            f", line {number}: the field `{field}` is missing. Add it, or save the trace again"
        )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "it is no JSON (Expecting value at character 1"),
        ("{", "it is no JSON"),
        ('{"is":"event"} {}', "it is no JSON (Extra data at character 16"),
        ("null", "it is null, but every line"),
        ('{"is":"event","at":NaN}', "NaN is no JSON"),
        ('{"is":"event","at":-Infinity}', "-Infinity is no JSON"),
        ('{"is":"event","at":1,"at":2}', "a field comes twice"),
        ('{"is":"event","at":%s}' % ("9" * 5000), "a number in it has thousands of digits"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"is":' * 100_000, "it is nested too deeply"),
        ("[" * 200 + "]" * 200, "but every line of a trace is a JSON object"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, lines: list[str], line: str, says: str) -> None:
    text = refused(tmp_path / "t", with_line(lines, 5, line))
    assert text.startswith(", line 5: ")
    assert says in text


def test_bytes_that_are_no_text_are_named(tmp_path: Path, lines: list[str]) -> None:
    data = "\n".join(lines).encode()
    text = refused(tmp_path / "t", data.replace(b"WorkerPull", b"Worker\xffPull", 1))
    assert re.match(r", line \d+: byte \d+ is 0xff, which is no UTF-8", text)


def test_a_question_of_the_error_ends_as_one(tmp_path: Path) -> None:
    text = refused(tmp_path / "t.gif", b"GIF89a\xff")
    assert text.endswith("another encoding? Give the name of a file that Trace.save wrote")


def test_a_line_without_an_end_is_not_read_to_it(tmp_path: Path) -> None:
    bomb = gzip.compress(b'{"format":"' + b"a" * (1 << 25))
    assert ", line 1: this is no trace: it has more than" in refused(tmp_path / "t.gz", bomb)


def test_an_empty_file_is_no_trace(tmp_path: Path) -> None:
    assert refused(tmp_path / "t", b"").startswith(": it is empty")
    assert refused(tmp_path / "t.gz", gzip.compress(b"")).startswith(": it is empty")


def test_a_file_that_is_cut_off_is_no_trace(tmp_path: Path) -> None:
    plain = small().save(tmp_path / "t.jsonl").read_bytes()
    packed = small().save(tmp_path / "t.jsonl.gz").read_bytes()
    for size in range(0, len(plain), 97):
        refused(tmp_path / "cut.jsonl", plain[:size])
    # Also where a line ends: the header tells how many there are.
    lines = plain.splitlines(keepends=True)
    text = refused(tmp_path / "cut.jsonl", b"".join(lines[:-3]))
    assert f", line {len(lines) - 3}: the file ends here" in text
    for size in range(2, len(packed), 37):
        refused(tmp_path / "cut.gz", packed[:size])
    assert "cut off or damaged" in refused(tmp_path / "cut.gz", packed[:-4])


def test_damaged_compression_is_no_trace(tmp_path: Path) -> None:
    packed = small().save(tmp_path / "t.jsonl.gz").read_bytes()
    for n in range(2, len(packed), 61):
        data = bytearray(packed)
        data[n] ^= 0xFF
        (tmp_path / "bad.gz").write_bytes(data)
        try:
            trace = Trace.load(tmp_path / "bad.gz")
        except TraceFileError:
            continue
        assert trace == small(), "a bit of the gzip header that means nothing"
    refused(tmp_path / "bad.gz", b"\x1f\x8b\x08" + bytes(30))
    refused(tmp_path / "bad.gz", packed + b"and something more")


def test_what_cannot_be_read_is_no_trace(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing here", tmp_path / "no" / "folder"):
        with pytest.raises(TraceFileError) as caught:
            Trace.load(path)
        assert str(caught.value).startswith(f"{path} can't be read: ")
        assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(TraceFileError, match="can't be read"):
        Trace.load("a\0b")


def test_the_file_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jsonl").write_bytes(b"[]")
    with pytest.raises(TraceFileError, match=r"^\./t\.jsonl, line 1: "):
        Trace.load("./t.jsonl")


#: What turns data into code, or into any object.
RUNS = {"eval", "exec", "compile", "__import__", "import_module", "load_module", "fromfile"}
UNPICKLES = {"pickle", "marshal", "shelve", "copyreg", "yaml", "dill", "joblib", "ctypes"}
READERS = (
    "blocks",
    "columns",
    "journal",
    "lines",
    "order",
    "reading",
    "schema",
    "store",
    "writing",
)


@pytest.mark.parametrize("name", READERS)
def test_nothing_in_a_file_is_run(name: str) -> None:
    """What reads and writes files has no means to unpickle or evaluate anything."""
    package = Path(store.__file__).parent.parent
    paths = list(package.rglob(f"{name}.py"))
    assert paths
    for path in paths:
        assert wrong(path.read_text(encoding="utf-8")) == set()


def wrong(source: str) -> set[str]:
    """Which of these a source names, but for methods of regular expressions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found |= {alias.name.partition(".")[0] for alias in names} & UNPICKLES
            case ast.ImportFrom(module=str(module)):
                found |= {module.partition(".")[0]} & UNPICKLES
            case ast.Attribute(value=ast.Name(id="re")):
                pass
            case ast.Attribute(value=ast.Name(id="np" | "numpy"), attr="load" | "loadtxt" as attr):
                found.add(attr)
            case ast.Name(id=name) | ast.Attribute(attr=name):
                found |= {name} & RUNS
    return found


@pytest.mark.parametrize(
    "line", ["import pickle", "from marshal import loads", "eval(x)", "np.load(x)", "a.exec(x)"]
)
def test_a_means_to_run_a_file_is_found(line: str) -> None:
    assert wrong(line)
    assert not wrong("re.compile(x)")


# ---------------------------------------------------------------------------------- whatever it is

RIGHT = b"".join(writing.lines(small()))


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """What may be in a file: garbage, or a trace in which something was changed."""
    if draw(st.booleans()):
        return draw(
            st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "ignore"))
        )
    data = bytearray(RIGHT)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 40))
        pieces = st.binary(max_size=8) | st.sampled_from(
            [b"\n", b'"', b"{", b"]" * 50, b"null", b"1e999", b"-1", b'"\\ud800"', b"NaN", b"\xff"]
        )
        data[at : at + size] = draw(pieces)
    return bytes(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A trace in which the values of some fields were replaced."""
    lines = RIGHT.decode().splitlines()
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        record = json.loads(lines[number])
        if not record:
            continue
        other = json.loads(lines[draw(st.integers(0, len(lines) - 1))])
        taken = st.sampled_from(list(other.values()) or [None])
        record[draw(st.sampled_from([*record, "new"]))] = draw(VALUES | taken)
        lines[number] = json.dumps(record)
    return "\n".join(lines).encode()


@settings(max_examples=max(300, settings.default.max_examples))  # type: ignore[union-attr]
@given(files() | records(), st.booleans())
def test_any_file_is_a_trace_or_a_trace_file_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, packed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(zlib.compress(data, wbits=31) if packed else data)
    try:
        trace = Trace.load(path)
    except TraceFileError:
        return
    # What was accepted can be asked for everything that a trace tells.
    assert Trace.load(trace.save(path)) == trace
    repr(trace)
    trace._repr_html_()
    trace.check()
    assert len(trace.graph.nodes) == len(trace.wiring.nodes) == len(trace.actors)
