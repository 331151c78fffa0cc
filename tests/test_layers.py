"""Who may import whom: design.md's arrows as a table, and every import of the package held to it.

An import counts wherever it stands: at the top of a module, in a function, or as a text given to
`import_module`. One for types only (under `TYPE_CHECKING`) never runs, so it may look upwards, but
only within its own family: what runs doesn't know what draws, not even by its types.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest


class Row(NamedTuple):
    """Rooms that may import each other, the rooms before them that they may import, and libraries.

    A room is a module or a package with all that is in it, less what has a row of its own. `family`
    is *base* (known to all, knowing nothing), *runs*, *draws*, or *joins* (those who need both).
    """

    rooms: str
    family: str
    may_import: str = ""
    libraries: str = ""


BASE = "errors hook wire waits"
DOOR = (
    "address arrivals line port patience loop stamps clock foreground actor choices turns "
    "turnstile schedule faults breakage witness"
)
RUNS = (
    f"{BASE} persistence arguments {DOOR} parts functions servers subscribing calls clients tasks"
)
CLUSTER = "cluster party roster visitors joining upstream moves stepping breaking replaying"
PAINTERS = "draw.figure draw.animation draw.player draw.live"
DRAWS = f"{BASE} trace graph draw"
SHOWS = f"{DRAWS} draw.__init__ {PAINTERS}"

#: From what everything knows to what knows everything: no row may name a later one.
TABLE = (
    Row("errors waits", "base"),
    Row("hook", "base"),
    Row("wire", "base"),
    # what runs
    Row("persistence", "runs", "errors"),
    Row("arguments", "runs", "errors"),
    Row(DOOR, "runs", f"{BASE} arguments", "zmq"),
    Row("parts", "runs", f"{BASE} persistence arguments {DOOR}", "zmq google waitress"),
    Row(
        "functions servers subscribing calls clients",
        "runs",
        f"{BASE} persistence arguments {DOOR} parts",
        "zmq google",
    ),
    Row("tasks", "runs", f"{BASE} arguments {DOOR}"),
    Row("remote", "runs", RUNS, "zmq google"),
    # what draws
    Row("trace", "draws", BASE, "numpy pandas"),
    Row("graph", "draws", f"{BASE} trace", "networkx numpy"),
    Row("draw", "draws", f"{BASE} trace graph"),
    Row(PAINTERS, "draws", DRAWS, "matplotlib numpy PIL IPython"),
    Row("draw.__init__", "draws", f"{DRAWS} {PAINTERS}"),
    # who joins both
    Row(CLUSTER, "joins", f"{RUNS} remote trace", "zmq"),
    Row("watched watching", "joins", f"{BASE} {DOOR} trace", "zmq"),
    Row("testing", "joins", "trace watched watching", "pytest"),
    Row("scenarios", "joins", f"{RUNS} remote trace {CLUSTER}"),
    Row("rerun", "joins", f"{RUNS} trace {CLUSTER} scenarios"),
    Row("explore", "joins", f"{RUNS} trace {CLUSTER} scenarios rerun"),
    Row("course", "joins", f"{RUNS} {SHOWS} {CLUSTER} scenarios rerun explore", "IPython"),
    Row("output", "joins", f"{BASE} trace"),
    Row("recording", "joins", f"{BASE} witness trace"),
    Row("figures", "joins", f"{SHOWS} {CLUSTER} scenarios"),
    Row("bench", "joins", f"{RUNS} {SHOWS} {CLUSTER}", "zmq networkx opentelemetry"),
    Row(
        "cli __main__",
        "joins",
        f"{RUNS} {SHOWS} {CLUSTER} scenarios rerun explore course output recording figures bench",
    ),
)

#: (module, what it imports): why. "?" is a name that is worked out when it runs.
EXCEPTIONS = {
    ("__init__", "?"): "the map of the public names loads each when it is asked for",
    ("__init__", "recording"): "a process that its environment tells to record itself does so",
    ("trace.__init__", "?"): "its own names, each of which it loads when it is asked for",
    ("cli.command", "__init__"): "the version is said there",
    ("trace.trace", "graph"): "Trace.graph and Trace.wiring hand on to it, by name, when asked",
    ("waits", "graph"): "Waits.graph hands on to it, by name, when asked",
}

PACKAGE = "pylm_lab"
#: Made by protoc; what it imports is protobuf's business.
GENERATED = {"parts.messages_pb2"}


class Import(NamedTuple):
    """One import, as it stands in a module. Our own modules go without the package's name."""

    module: str
    target: str
    line: int
    ours: bool
    for_types: bool = False


def name_of(path: Path, package: Path) -> str:
    """`trace/hops/match.py` → `trace.hops.match`, `trace/__init__.py` → `trace.__init__`."""
    return ".".join(path.relative_to(package).with_suffix("").parts)


def imports(source: str, module: str, known: Iterable[str]) -> Iterator[Import]:
    """Every import in a module's source; `known` are the names of all modules of the package."""
    known = set(known)

    def ours(dotted: str) -> str:
        inner = dotted.removeprefix(PACKAGE).removeprefix(".")
        package = f"{inner}.__init__".removeprefix(".")
        return package if package in known else inner

    def target(dotted: str, line: int, for_types: bool) -> Import:
        if dotted == PACKAGE or dotted.startswith(f"{PACKAGE}."):
            return Import(module, ours(dotted), line, True, for_types)
        return Import(module, dotted.partition(".")[0], line, False, for_types)

    def from_where(node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = [PACKAGE, *module.split(".")][: -node.level]
        return ".".join([*here, node.module] if node.module else here)

    def is_module(dotted: str) -> bool:
        inner = dotted.removeprefix(f"{PACKAGE}.")
        return inner in known or f"{inner}.__init__" in known

    def walk(node: ast.AST, for_types: bool) -> Iterator[Import]:
        match node:
            case ast.Import():
                for alias in node.names:
                    yield target(alias.name, node.lineno, for_types)
            case ast.ImportFrom():
                base = from_where(node)
                for alias in node.names:
                    dotted = f"{base}.{alias.name}"
                    found = dotted if is_module(dotted) else base
                    yield target(found, node.lineno, for_types)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in {
                "import_module",
                "__import__",
            }:
                match node.args:
                    case [ast.Constant(value=str(dotted)), *_] if not dotted.startswith("."):
                        yield target(dotted, node.lineno, for_types)
                    case _:
                        yield Import(module, "?", node.lineno, True, for_types)
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                for statement in node.body:
                    yield from walk(statement, True)
                for statement in node.orelse:
                    yield from walk(statement, for_types)
                return
        for child in ast.iter_child_nodes(node):
            yield from walk(child, for_types)

    yield from walk(ast.parse(source), False)


def row_of(module: str) -> Row | None:
    """The row of the innermost room that the module is in."""
    by_room = {room: row for row in TABLE for room in row.rooms.split()}
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        if row := by_room.get(".".join(parts[:end])):
            return row
    return None


def room_of(module: str) -> str:
    """The name of that room."""
    row = row_of(module)
    rooms = row.rooms.split() if row else []
    inner = [room for room in rooms if module == room or module.startswith(f"{room}.")]
    return max(inner, key=len, default="")


def forbidden(found: Import) -> str:
    """Why the import may not be, or nothing."""
    row = row_of(found.module)
    if row is None:
        return "" if (found.module, "?") in EXCEPTIONS else "is in no row of the table: give it one"
    if found.ours:
        room = room_of(found.target)
        if room and room in f"{row.rooms} {row.may_import}".split():
            return ""
        its = row_of(found.target)
        if found.for_types and its and its.family == row.family != "base":
            return ""
        return f"may not import {PACKAGE}.{found.target}"
    if found.target in sys.stdlib_module_names or found.target in row.libraries.split():
        return ""
    if found.for_types and row.family != "base":
        family = {lib for r in TABLE if r.family == row.family for lib in r.libraries.split()}
        if found.target in family:
            return ""
    return f"may not import {found.target}"


@pytest.fixture(scope="module")
def package(root: Path) -> Path:
    return root / PACKAGE


@pytest.fixture(scope="module")
def modules(package: Path) -> dict[str, str]:
    """Module → source."""
    return {
        name_of(path, package): path.read_text(encoding="utf-8")
        for path in sorted(package.rglob("*.py"))
    }


@pytest.fixture(scope="module")
def all_imports(modules: dict[str, str]) -> list[Import]:
    return [
        found
        for module, source in modules.items()
        if module not in GENERATED
        for found in imports(source, module, modules)
    ]


def test_every_import_follows_an_arrow(all_imports: list[Import]) -> None:
    wrong = [
        f"{found.module.replace('.', '/')}.py:{found.line}: {PACKAGE}.{found.module} {why}"
        for found in all_imports
        if (found.module, found.target) not in EXCEPTIONS and (why := forbidden(found))
    ]
    assert not wrong, "\n".join(wrong)


def test_every_module_is_in_a_row(modules: dict[str, str]) -> None:
    assert [m for m in modules if m != "__init__" and row_of(m) is None] == []


def test_no_exception_outlives_its_need(all_imports: list[Import]) -> None:
    needed = {(i.module, i.target) for i in all_imports if i.module == "__init__" or forbidden(i)}
    assert set(EXCEPTIONS) - needed == set()


def test_no_arrow_runs_back() -> None:
    seen: set[str] = set()
    for row in TABLE:
        assert set(row.may_import.split()) <= seen, row.rooms
        assert not seen & set(row.rooms.split()), f"{row.rooms} stands twice"
        seen |= set(row.rooms.split())


def test_what_runs_and_what_draws_do_not_know_each_other() -> None:
    family = {room: row.family for row in TABLE for room in row.rooms.split()}
    for row in TABLE:
        names = {family[room] for room in row.may_import.split()}
        if row.family == "runs":
            assert names <= {"base", "runs"}, row.rooms
            assert not {"networkx", "matplotlib", "IPython"} & set(row.libraries.split())
        if row.family == "draws":
            assert names <= {"base", "draws"}, row.rooms
            assert "zmq" not in row.libraries.split()
        if row.family == "base":
            assert not names
            assert not row.libraries


KNOWN = [
    "__init__",
    "hook",
    "port",
    "parts.__init__",
    "parts.core",
    "trace.__init__",
    "trace.hops.match",
]
KNOWN += ["graph", "draw.__init__", "draw.scene", "draw.figure"]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        pytest.param("parts.core", "from pylm_lab.trace import Trace", id="runs to draws"),
        pytest.param("parts.core", "import pylm_lab.trace.hops.match", id="by its full name"),
        pytest.param("parts.core", "from pylm_lab import graph", id="a module out of the package"),
        pytest.param("parts.core", "from ..trace import match", id="relative"),
        pytest.param("parts.__init__", "from ..trace import match", id="relative, of a package"),
        pytest.param(
            "parts.core", "def f():\n  import networkx as nx", id="a library in a function"
        ),
        pytest.param("parts.core", "if TYPE_CHECKING:\n  import pylm_lab.graph", id="types across"),
        pytest.param("parts.core", "if TYPE_CHECKING:\n  import networkx", id="types of a library"),
        pytest.param("parts.core", "if TYPE_CHECKING:\n  0\nelse:\n  import networkx", id="else"),
        pytest.param("parts.core", "import pylm_lab", id="the map itself"),
        pytest.param("parts.core", "from pylm_lab import Trace", id="a name out of the map"),
        pytest.param("trace.hops.match", "from pylm_lab.draw import scene", id="back"),
        pytest.param(
            "trace.hops.match",
            "import importlib as i; i.import_module('pylm_lab.graph')",
            id="text",
        ),
        pytest.param("trace.hops.match", "__import__('zmq')", id="text of a library"),
        pytest.param("trace.hops.match", "import_module(name)", id="a name that can't be read"),
        pytest.param(
            "trace.hops.match", "import_module('.graph', __package__)", id="a relative text"
        ),
        pytest.param("draw.scene", "from pylm_lab.draw.figure import draw", id="scene to painter"),
        pytest.param("draw.scene", "from pylm_lab.draw import draw", id="scene to its package"),
        pytest.param("draw.scene", "from matplotlib import figure", id="scene to matplotlib"),
        pytest.param("draw.scene", "import networkx", id="scene to networkx"),
        pytest.param("draw.figure", "import zmq", id="painter to zmq"),
        pytest.param("hook", "import pylm_lab.port", id="base to anything"),
        pytest.param("hook", "if TYPE_CHECKING:\n  import zmq", id="base to a library's types"),
        pytest.param("new_module", "import os", id="a module without a row"),
    ],
)
def test_a_wrong_arrow_is_found(module: str, line: str) -> None:
    assert [why for found in imports(line, module, KNOWN) if (why := forbidden(found))]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        pytest.param("parts.core", "import zmq.error", id="a library of its row"),
        pytest.param("parts.core", "from pylm_lab.hook import Hook", id="an earlier row"),
        pytest.param("parts.core", "from pylm_lab import hook", id="a module out of the package"),
        pytest.param("parts.__init__", "from .core import Router", id="its own room, relative"),
        pytest.param("port", "if TYPE_CHECKING:\n  from pylm_lab.parts import core", id="types up"),
        pytest.param(
            "trace.hops.match", "if TYPE_CHECKING:\n  import networkx", id="types of a library"
        ),
        pytest.param("draw.figure", "from pylm_lab.draw.scene import Box", id="painter to scene"),
        pytest.param(
            "draw.__init__", "from pylm_lab.draw.figure import draw", id="package to painter"
        ),
        pytest.param("hook", "import collections.abc", id="the standard library"),
    ],
)
def test_a_right_arrow_is_left_alone(module: str, line: str) -> None:
    found = list(imports(line, module, KNOWN))
    assert found
    assert [why for each in found if (why := forbidden(each))] == []
