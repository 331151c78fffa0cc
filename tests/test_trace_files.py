"""Trace files: of every version, of every kind of damage, and in both ways of reading them."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import random
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builder import Build, message
from hypothesis import given, settings
from hypothesis import strategies as st

from pylm_lab.errors import TraceFileError
from pylm_lab.trace import Trace
from pylm_lab.trace.file import reading, writing
from pylm_lab.trace.file.blocks import Blocks
from pylm_lab.trace.record.journal import Journal

FILES = Path(__file__).with_name("traces")
NAMES = sorted(path.name for path in FILES.glob("*.jsonl"))


# ------------------------------------------------------------------------------- every version

#: What is in each file. A format may change; what its files tell may not.
TOLD = {
    "version1-faults.jsonl": (131, "996a19332d64272c"),
    "version1.jsonl": (151, "0d0d06c7c2257247"),
    "version2-journal.jsonl": (119, "93043a4053f6f206"),
    "version2.jsonl": (131, "7cb8e548c8c22b11"),
}


def digest(trace: Trace) -> str:
    """A short form of all that a trace tells, in each actor's own order."""
    own = sorted(map(dataclasses.asdict, trace.events), key=lambda event: str(event["actor"]))
    about = trace.how, trace.clock, trace.scenario, trace.options, trace.forgotten, trace.cut
    records: list[Any] = [*trace.actors, *trace.ports, *trace.routes, *trace.decisions]
    told = [about, own, list(map(dataclasses.asdict, records))]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def test_a_file_of_each_version_is_kept() -> None:
    assert set(NAMES) == set(TOLD)
    headers = [(FILES / name).read_bytes().partition(b"\n")[0] for name in NAMES]
    assert {json.loads(header)["version"] for header in headers} == {1, 2}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_each_version_is_read(name: str, tmp_path: Path) -> None:
    trace = Trace.load(FILES / name)
    assert (len(trace.events), digest(trace)) == TOLD[name]
    packed = tmp_path / "t.gz"
    packed.write_bytes(gzip.compress((FILES / name).read_bytes(), mtime=0))
    assert Trace.load(packed) == trace


@pytest.mark.parametrize("name", NAMES)
def test_what_was_read_is_written_in_the_newest(name: str, tmp_path: Path) -> None:
    trace = Trace.load(FILES / name)
    data = trace.save(tmp_path / "t.jsonl").read_bytes()
    assert Trace.load(tmp_path / "t.jsonl") == trace
    was = (FILES / name).read_bytes().replace(b'"version":1,', b'"version":2,', 1)
    if "journal" not in name:
        assert data == was
    else:  # ordered
        assert sorted(data.splitlines()[1:60]) != sorted(was.splitlines()[1:60])


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("cut", [], '"cut" is no field of this line; there are format, version'),
        ("lines", None, "`lines` is null. It should be an integer"),
    ],
)
def test_version_1_is_held_to_what_it_was(
    tmp_path: Path, field: str, value: object, says: str
) -> None:
    header, _, rest = (FILES / "version1.jsonl").read_bytes().partition(b"\n")
    changed = json.dumps({**json.loads(header), field: value}).encode()
    (tmp_path / "t").write_bytes(changed + b"\n" + rest)
    assert says in str(told(Trace.load, tmp_path / "t"))


# ---------------------------------------------------------------------- both ways of reading them


def small() -> Build:
    """A run with a bit of everything, that may still go on."""
    build = Build(schedule="seeded", seed=1, scenario="x", options={"a": 2}).master()
    build.decide("inject", text="drop").decide("send", "client", "client:push")
    build.run(1, until="server.WorkerPush:listen_to")
    build.cross("client:db", "server.Cache:listen_to", message(9, parent=1, clock=5))
    build.cross("server.Cache:listen_to", "client:db", b'caf\xc3\xa9 \xff \xe2\x80\xa8 \\"{}')
    build.fault("client:sub", "drop", b"client", message(4), why="a rule drops the 1st message")
    build.fault("worker1", "crash", why="a rule crashes it")
    return build


def journal_of(path: Path) -> bytes:
    """The same as a journal, written in several pieces."""
    with Journal(path, clock="step", schedule="seeded", seed=1, scenario="x") as journal:
        build = Build(journal).master()
        for n in range(1, 4):
            build.run(n, until="server.WorkerPush:listen_to")
            build.decide("send", "client", "client:push").actor(f"late{n}", "worker")
            build.link(f"late{n}:out", f"late{n}:in")
            journal.flush()
    return path.read_bytes()


def line_by_line(path: Path) -> Trace:
    """Read it without the short cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Blocks, "read", lambda _, text: iter(text.removesuffix("\n").split("\n")))
        return Trace.load(path)


def told(load: Callable[[Path], Trace], path: Path) -> Trace | str:
    """The trace, or what is wrong with the file."""
    try:
        return load(path)
    except TraceFileError as error:
        text = str(error)
        assert text.startswith(str(path))
        assert text.count(str(path)) == 1
        assert len(text) < len(str(path)) + 500
        assert text.isprintable()
        return text


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Files that are right."""
    path = tmp_path_factory.mktemp("seeds") / "t"
    plain = b"".join(writing.lines(small().end()))
    first = plain.replace(b'"version":2,', b'"version":1,', 1)
    journal = journal_of(path)
    part = b"".join(writing.lines(small().end().filter(actor="client")))
    return [plain, first, journal, journal[: journal.rindex(b"\n", 0, -1) + 1], part]


@pytest.mark.parametrize("size", [1, 7, 100, 4000, 1 << 16])
def test_the_short_cut_leads_to_the_same(
    tmp_path: Path, seeds: list[bytes], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(reading, "_BLOCK", size)
    path = tmp_path / "t"
    for data in seeds:
        path.write_bytes(data)
        trace = Trace.load(path)
        assert trace == line_by_line(path)
        path.write_bytes(data.replace(b'":', b'" : '))  # as others may write it
        assert Trace.load(path) == trace
        path.write_bytes(data.replace(b"\n", b"\r\n"))
        assert Trace.load(path) == trace


def test_most_lines_take_the_short_cut(
    tmp_path: Path, seeds: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow: list[str] = []
    take = reading.Reading._event

    def event(self: reading.Reading, record: dict[str, Any]) -> None:
        slow.append(record["what"])
        take(self, record)

    monkeypatch.setattr(reading.Reading, "_event", event)
    for data in seeds:
        (tmp_path / "t").write_bytes(data)
        assert len(Trace.load(tmp_path / "t").events) > 15
    assert set(slow) == {"fault"}


ODD = [
    b'"at":01',
    b'"at":-0',
    b'"at":1e3',
    b'"at":1.0',
    b'"at":999999999999999999999',
    b'"at":-9223372036854775808',
    b'"at":9223372036854775808',
    b'"clock":007',
    b'"clock":18446744073709551615',
    b'"clock":18446744073709551616',
    b'"stage":-1',
    b'"stage":9223372036854775808',
    b'"sizes":[]',
    b'"sizes":[01]',
    b'"sizes":[1,]',
    b'"sizes":[1,02,3]',
    b'"sizes":[9223372036854775808]',
    b'"sizes":[9223372036854775807,9223372036854775807]',
    b'"excerpt":""',
    b'"excerpt":"\\u00zz"',
    b'"excerpt":"\\x"',
    b'"excerpt":"\t"',
    b'"excerpt":"\\ud800"',
    b'"excerpt":"\xc3\xa9"',
    b'"excerpt":"\xff"',
    b'"excerpt":"a\\"b"',
    b'"excerpt":"a"b"',
    b'"excerpt":"\xe2\x80\xa8\x85"',
    b'"message":"a","message":"b"',
    b'"kind":"gift"',
    b'"what":"\\u0073end"',
    b'"actor":"nobody"',
    b'"port":""',
    b'"fault":""',
]


@pytest.mark.parametrize("odd", ODD)
def test_the_short_cut_takes_nothing_that_is_wrong(tmp_path: Path, odd: bytes) -> None:
    """A line by itself is the judge of every field, also where it differs from ours by little."""
    field, _, value = odd.partition(b":")
    build = small()
    lines = b"".join(writing.lines(build.end())).splitlines(keepends=True)
    line = next(n for n, line in enumerate(lines) if b'"clock":' in line and b'"excerpt":' in line)
    found = json.loads(lines[line])
    known = json.dumps(found.pop(field.strip(b'"').decode(), None), separators=(",", ":")).encode()
    old = field + b":" + known
    if old in lines[line]:
        lines[line] = lines[line].replace(old, odd, 1)
    else:
        lines[line] = lines[line].replace(b',"function"', b"," + odd + b',"function"', 1)
    assert value in lines[line]
    path = tmp_path / "t"
    path.write_bytes(b"".join(lines))
    assert told(Trace.load, path) == told(line_by_line, path)


def test_a_decision_that_is_nested_too_deeply_is_named_by_its_line(tmp_path: Path) -> None:
    lines = b"".join(writing.lines(small().end())).splitlines(keepends=True)
    lines[-1] = lines[-1].replace(b'"client"', b"[" * 100_000, 1)
    (tmp_path / "t").write_bytes(b"".join(lines))
    text = f", line {len(lines)}: it is nested too deeply"
    assert text in str(told(Trace.load, tmp_path / "t"))


def most(work: Callable[[], object]) -> tuple[int, int]:
    """Bytes that it leaves behind, and that it needs while it works."""
    tracemalloc.start()
    kept = work()
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept
    return left, peak


@pytest.mark.parametrize("name", ["t", "t.gz"])
def test_memory_is_for_the_trace_and_not_for_the_file(tmp_path: Path, name: str) -> None:
    trace = small().end()
    sizes = []
    for times in (400, 1200):
        events = trace.columns.take(np.tile(np.arange(len(trace.events)), times))
        long = dataclasses.replace(trace, events=events)
        _, saving = most(lambda long=long: long.save(tmp_path / name))  # type: ignore[misc]
        left, loading = most(lambda: Trace.load(tmp_path / name))
        sizes.append((saving, loading - left))
    (saving, loading), (saving_more, loading_more) = sizes
    assert saving_more < saving + 200_000
    # Its columns, of 34 bytes an event, are there twice for a moment.
    assert loading_more < loading + 800 * len(trace.events) * 40 + 200_000


# ------------------------------------------------------------------------------------ all damage


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"\n", "line 1: this is no trace: it is no JSON"),
        (b"\0" * 5000, "line 1: this is no trace: it is no JSON"),
        (bytes(range(256)) * 9, "line 1: this is no trace"),
        (b"\x1f\x8b", "cut off or damaged"),
        (b"PK\x03\x04\n", "line 1: this is no trace"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "line 1: this is no trace"),
        (b"[" * 300_000 + b"\n", "line 1: it is nested too deeply"),
        (b'{"a":' * 300_000, "line 1: it is nested too deeply"),
        (b"9" * 50_000 + b"\n", "line 1: this is no trace: a number in it has thousands of digits"),
        (b'{"format":"a","format":"b"}\n', "line 1: this is no trace: a field comes twice"),
    ],
)
def test_what_is_no_trace_is_told_in_one_sentence(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "t").write_bytes(data)
    text = told(Trace.load, tmp_path / "t")
    assert isinstance(text, str)
    assert says in text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_another_encoding_is_no_trace(tmp_path: Path, seeds: list[bytes], encoding: str) -> None:
    path = tmp_path / "t"
    for data in seeds:
        path.write_bytes(data.decode().encode(encoding))
        assert "line 1: this is no trace" in str(told(Trace.load, path))


def test_a_bomb_is_refused_before_it_is_all_read(tmp_path: Path) -> None:
    path = tmp_path / "t.gz"
    with gzip.open(path, "wb") as file:
        file.write((FILES / "version2.jsonl").read_bytes().partition(b"\n")[0] + b"\n")
        for _ in range(100):
            file.write(bytes(1 << 20))
    _, peak = most(lambda: told(Trace.load, path))
    assert "line 2: it has more than 16,777,216 bytes" in str(told(Trace.load, path))
    assert peak < 80 << 20


class Vandal:
    """Damages files, the same ones for the same seed."""

    BITS = (
        b"\n",
        b'"',
        b"{",
        b"}",
        b"[",
        b",",
        b":",
        b"\\",
        b"\0",
        b"\xff",
        b"\r\n",
        b"\xef\xbb\xbf",
    )
    VALUES = (
        *(b"null", b"true", b"-1", b"1e999", b"0.5", b"NaN", b'""', b"[]", b"{}", b'"\\ud800"'),
        *(b"9" * 19, b"9" * 5000, b"-9223372036854775809", b"18446744073709551616", b"[" * 2000),
    )

    def __init__(self, seeds: list[bytes], seed: int) -> None:
        self._seeds = seeds
        self._random = random.Random(seed)

    def file(self) -> bytes:
        """A file that was right, and was damaged once or more; perhaps compressed."""
        chance = self._random
        data = chance.choice(self._seeds)
        ways: list[Callable[[bytes], bytes]] = [
            *(self._flip, self._cut, self._splice, self._insert, self._value, self._value),
            *(self._twice, self._swap, self._without, self._end, self._borrow, self._borrow),
        ]
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            data = chance.choice(ways)(data)
        if chance.random() < 0.25:
            data = zlib.compress(data, 1, wbits=31)
            if chance.random() < 0.5:
                data = chance.choice((self._flip, self._cut, self._end, self._splice))(data)
        return data

    def _at(self, data: bytes) -> int:
        return self._random.randint(0, len(data))

    def _flip(self, data: bytes) -> bytes:
        at = self._at(data)
        return (
            data[:at]
            + bytes(b ^ 1 << self._random.randrange(8) for b in data[at:][:1])
            + data[at + 1 :]
        )

    def _cut(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + data[at + self._random.choice((1, 2, 8, 50, 500, 5000)) :]

    def _end(self, data: bytes) -> bytes:
        return data[: self._at(data)]

    def _splice(self, data: bytes) -> bytes:
        other, at = self._random.choice(self._seeds), self._at(data)
        begin = self._at(other)
        return data[:at] + other[begin : begin + self._random.choice((1, 9, 90, 900))] + data[at:]

    def _insert(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + self._random.choice(self.BITS + self.VALUES) + data[at:]

    def _lines(self, data: bytes) -> tuple[list[bytes], int, int]:
        lines = data.splitlines(keepends=True) or [b""]
        return lines, self._random.randrange(len(lines)), self._random.randrange(len(lines))

    def _twice(self, data: bytes) -> bytes:
        lines, one, other = self._lines(data)
        lines.insert(other, lines[one])
        return b"".join(lines)

    def _swap(self, data: bytes) -> bytes:
        lines, one, other = self._lines(data)
        lines[one], lines[other] = lines[other], lines[one]
        return b"".join(lines)

    def _without(self, data: bytes) -> bytes:
        lines, one, _ = self._lines(data)
        del lines[one]
        return b"".join(lines)

    def _value(self, data: bytes) -> bytes:
        """Another value in a field."""
        return self._changed(data, lambda _: self._random.choice(self.VALUES))

    def _borrow(self, data: bytes) -> bytes:
        """The value that a field has in another line, if it has one there."""

        def other(field: bytes) -> bytes:
            found = data.split(b'"' + field + b'":')[1:] or [b"null"]
            return self._random.choice(found).partition(b",")[0].rstrip(b"}\n")

        return self._changed(data, other)

    def _changed(self, data: bytes, value: Callable[[bytes], bytes]) -> bytes:
        lines, one, _ = self._lines(data)
        fields = lines[one].split(b',"')
        if len(fields) > 1:
            n = self._random.randrange(1, len(fields))
            name = fields[n].partition(b'":')[0]
            fields[n] = name + b'":' + value(name) + b"}\n" * (n == len(fields) - 1)
            lines[one] = b',"'.join(fields)
        return b"".join(lines)


def examine(trace: Trace, path: Path) -> None:
    """What was accepted can be asked for everything that a trace tells, and be kept."""
    assert len(repr(trace)) > 10
    trace._repr_html_()
    assert all(hop.begins < len(trace.events) for hop in trace.hops)
    trace.check()
    assert len(trace.graph.nodes) == len(trace.wiring.nodes) == len(trace.actors)
    data = trace.save(path).read_bytes()
    again = Trace.load(path)
    assert again == trace
    assert again.save(path).read_bytes() == data


def test_a_damaged_file_is_a_trace_or_a_trace_file_error(
    tmp_path: Path, seeds: list[bytes], scale: int
) -> None:
    """However it is read, quickly or line by line."""
    path, kept = tmp_path / "t", tmp_path / "kept"
    files = seeds * 10 + [(FILES / name).read_bytes() for name in NAMES]
    loaded = 0
    for seed in range(1500 * scale):
        data = Vandal(files, seed).file()
        path.write_bytes(data)
        try:
            found = told(Trace.load, path)
            assert found == told(line_by_line, path)
            if isinstance(found, Trace):
                loaded += 1
                examine(found, kept)
        except BaseException:
            print(f"seed {seed}")
            raise
    assert loaded > 100, "something of it is still a trace"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[int, int, int, Any]]:
    """(line, field, other line, value) each: a field takes a value, or the other line's if None."""
    number = st.integers(0, 999)
    return draw(
        st.lists(st.tuples(number, number, number, st.none() | VALUES), min_size=1, max_size=3)
    )


@settings(max_examples=max(500, 5 * settings.default.max_examples))  # type: ignore[union-attr]
@given(st.integers(0, 4), changes(), st.booleans())
def test_a_file_with_other_values_is_a_trace_or_a_trace_file_error(
    tmp_path_factory: pytest.TempPathFactory,
    seeds: list[bytes],
    which: int,
    changed: list[tuple[int, int, int, Any]],
    packed: bool,
) -> None:
    lines = seeds[which].decode().splitlines()
    for number, field, other, value in changed:
        record = json.loads(lines[number % len(lines)])
        fields = [*record, "new"]
        if value is None:
            taken = list(json.loads(lines[other % len(lines)]).values())
            value = taken[field % len(taken)]
        record[fields[field % len(fields)]] = value
        lines[number % len(lines)] = json.dumps(record, separators=(",", ":"))
    data = "".join(f"{line}\n" for line in lines).encode()
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(zlib.compress(data, wbits=31) if packed else data)
    found = told(Trace.load, path)
    if isinstance(found, Trace):
        examine(found, path.with_name("kept"))
    else:
        assert found == told(line_by_line, path)
