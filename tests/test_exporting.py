"""Exports as tables, as text and as files: what they hold, and what is said when it goes wrong."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from builder import Build, message
from export_cases import READERS, lossy, nasty, scenario
from other_tools import read_csv

import pylm_lab as lab
from pylm_lab.cli import main
from pylm_lab.trace.exports import FORMATS
from pylm_lab.trace.exports.rows import COLUMNS

# ------------------------------------------------------------------------------------------ tables


def test_a_row_of_the_table_is_a_hop() -> None:
    trace = scenario("cache")
    records = trace.to_records()
    assert [tuple(record) for record in records] == [COLUMNS] * len(trace.hops)
    assert json.loads(json.dumps(records)) == records
    for record, hop in zip(records, trace.hops, strict=True):
        assert (record["source"], record["target"]) == hop.link
        assert (record["kind"], record["message"]) == (hop.kind, hop.message)
        assert hop.sent is not None
        assert hop.received is not None
        sent, received = trace.events[hop.sent], trace.events[hop.received]
        assert (record["from_port"], record["to_port"]) == (sent.port, received.port)
        assert record["latency"] == received.at - sent.at
        assert (record["bytes"], record["frames"]) == (sum(sent.sizes), len(sent.sizes))
        assert record["payload"] == sent.excerpt
        assert not record["lost"]
    assert {r["parent"] for r in records if r["name"] == "r7"} == {records[15]["message"]}


def test_a_hop_that_never_began_has_the_port_where_it_would_have() -> None:
    build = Build().link("a:out", "b:in").drop("a:out", message(1))
    (row,) = build.end().to_records()
    assert (row["from_port"], row["to_port"], row["sent"], row["lost"]) == ("a:out", "", None, True)


def test_a_lost_hop_says_why() -> None:
    last = lossy().to_records()[-1]
    told = {key: last[key] for key in ("received", "latency", "lost", "cause", "to_port")}
    assert told == {
        "received": None, "latency": None, "lost": True, "cause": "a rule", "to_port": "b:in"
    }  # fmt: skip
    _, *_, line = read_csv(lossy().export("csv"))
    row = dict(zip(COLUMNS, line, strict=True))
    assert (row["received"], row["lost"], row["cause"]) == ("", "true", "a rule")


def test_csv_has_the_same_rows_and_no_formula() -> None:
    trace = nasty()
    header, *lines = read_csv(trace.export("csv"))
    assert tuple(header) == COLUMNS
    for record, line in zip(trace.to_records(), lines, strict=True):
        for value, field in zip(record.values(), line, strict=True):
            if not isinstance(value, str):
                continue
            assert not field.startswith(tuple("=+-@"))
            assert field.removeprefix("'") == value.removeprefix("'")
    assert "'=1+1" in [line[COLUMNS.index("payload")] for line in lines]


def test_pandas_gets_a_row_for_each_hop() -> None:
    pandas = pytest.importorskip("pandas")
    trace = lossy()
    table = trace.to_pandas()
    assert tuple(table.columns) == COLUMNS
    assert len(table) == len(trace.hops)
    assert table.received.isna().tolist() == [False, True]
    assert pandas.api.types.is_integer_dtype(table.received.dtype)
    assert table.lost.sum() == 1
    assert table.to_csv(index=False).count("\n") == 3
    empty = lab.Trace().to_pandas()
    assert (empty.dtypes == table.dtypes).all()


def test_who_has_no_pandas_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(lab.LabError, match=r"pip install pandas, or take Trace\.to_records"):
        scenario("single").to_pandas()


# ----------------------------------------------------------------------------------------- as files


def test_a_long_trace_is_written_in_small_pieces() -> None:
    build = Build().link("a:out", "b:in")
    for n in range(1, 4_000):
        build.cross("a:out", "b:in", message(n))
    trace = build.trace
    for to, chosen in FORMATS.items():
        if to != "mermaid":
            sizes = [len(piece) for piece in chosen.lines(trace)]
            assert max(sizes) < sum(sizes) / 3, to


@pytest.mark.parametrize(
    ("to", "options", "text"),
    [
        ("chrom", {}, "there is no format 'chrom' to export to: did you mean 'chrome'?"),
        ("PERFETTO", {}, "there are shiviz, chrome, otlp, mermaid, csv"),
        (None, {}, "there is no format None"),
        ("csv", {"limit": 3}, "limit=3: the format 'csv' has no such option; mermaid has"),
        ("csv", {"color": 3}, "color=3: the format 'csv' has no such option; leave it out"),
        ("mermaid", {"limit": 0}, "limit=0: how many hops to draw, a whole number of at least 1"),
        ("mermaid", {"limit": True}, "limit=True"),
    ],
)
def test_what_is_asked_for_wrongly_is_named(to: Any, options: dict[str, Any], text: str) -> None:
    with pytest.raises(lab.LabError) as caught:
        lab.Trace().export(to, **options)
    assert text in str(caught.value)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return scenario("single").save(tmp_path / "trace.jsonl")


@pytest.mark.parametrize("to", READERS)
def test_the_command_writes_a_file(
    saved: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = saved.with_name("out")
    order = ["export", str(saved), "--to", to, "-o", str(out)]
    assert main(order) == 0
    assert f"{out}: 23 hops" in capsys.readouterr().out
    assert out.read_bytes().decode("utf-8") == scenario("single").export(to)
    assert main(order) == 2
    assert "is there already: choose another name, or say --force" in capsys.readouterr().err
    assert main([*order, "--force"]) == 0


def test_the_command_prints_what_it_would_write(
    saved: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["export", str(saved), "--to", "csv"]) == 0
    assert capsysbinary.readouterr().out == scenario("single").export("csv").encode("utf-8")
    assert main(["export", str(saved), "--to", "mermaid", "--limit", "2", "--credits"]) == 0
    assert b"21 more hops are not drawn" in capsysbinary.readouterr().out


def test_a_format_that_is_not_there_is_said_before_a_trace_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path / "none"), "--to", "shivis"]) == 2
    assert "did you mean 'shiviz'?" in capsys.readouterr().err


def test_a_name_that_ends_in_gz_is_compressed(tmp_path: Path) -> None:
    path = scenario("single").export("otlp", tmp_path / "spans.json.gz")
    assert gzip.decompress(path.read_bytes()).decode() == scenario("single").export("otlp")


def test_a_file_that_can_not_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(lab.LabError, match="can't be written"):
        scenario("single").export("csv", tmp_path / "none" / "x.csv")
    assert list(tmp_path.iterdir()) == []
