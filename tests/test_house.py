"""House rules that no linter knows. Those that ruff knows are in pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Where our texts are. Whatever else lies in the folder (environments, caches) is not ours.
FOLDERS = ("pylm_lab", "tests", "notebooks", "figures", "docs", "benchmarks", ".ci")
#: Of what lies at the top, what is ours.
TOP = ("*.md", "*.toml", "*.yaml", "LICENSE", ".gitignore", ".gitattributes", ".*.yaml")
BINARY = {".gif", ".ico", ".mp4", ".pdf", ".png", ".pyc"}
GENERATED = {"pylm_lab/parts/messages_pb2.py", "pylm_lab/draw/dejavu.py"}
#: Past this a file is asking to be two; one that is right to be one says why here.
LINES = 400
LONG: dict[str, str] = {}

# Put together, so that this file is not found by itself.
MACHINE = re.compile(
    r"(?<![\w.:/~<])/(?:home|root|Users|work|tmp|opt|var|mnt|private)/"
    + r"|\b[A-Za-z]:\\+"
    + r"Users"
)
MERGE = re.compile(r"^(?:<{7}|={7}|>{7}|\|{7})(?: |$)", re.MULTILINE)


@pytest.fixture(scope="module")
def texts(root: Path) -> dict[str, bytes]:
    """Path → content of every text file that is ours."""
    paths = {path for pattern in TOP for path in root.glob(pattern)}
    paths |= {path for folder in FOLDERS for path in (root / folder).rglob("*")}
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(paths)
        if path.is_file() and path.suffix not in BINARY and ".ipynb_checkpoints" not in path.parts
    }


@pytest.fixture(scope="module")
def code(texts: dict[str, bytes]) -> dict[str, str]:
    """The same of the package's modules, as text."""
    return {
        name: content.decode("utf-8")
        for name, content in texts.items()
        if name.startswith("pylm_lab/") and name.endswith(".py") and name not in GENERATED
    }


def test_the_files_are_found(texts: dict[str, bytes], code: dict[str, str]) -> None:
    """The other tests look at something."""
    assert {"pyproject.toml", ".ci/run", "tests/conftest.py", "pylm_lab/py.typed"} <= set(texts)
    assert "pylm_lab/hook.py" in code


def test_texts_are_utf_8_with_plain_line_ends(texts: dict[str, bytes]) -> None:
    wrong = [name for name, content in texts.items() if not is_plain(content)]
    assert wrong == []


def is_plain(content: bytes) -> bool:
    """UTF-8, no mark at its start, no carriage return, and a line end after the last line."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    bom = content.startswith(b"\xef\xbb\xbf")
    return not bom and b"\r" not in content and (not content or content.endswith(b"\n"))


@pytest.mark.parametrize("wrong", [b"\xff\n", b"\xef\xbb\xbfa\n", b"a\r\n", b"a"])
def test_a_text_that_is_not_plain_is_found(wrong: bytes) -> None:
    assert not is_plain(wrong)
    assert is_plain("→\n".encode())


def test_no_merge_is_left_half_done(texts: dict[str, bytes]) -> None:
    wrong = [n for n, content in texts.items() if MERGE.search(content.decode("utf-8", "replace"))]
    assert wrong == []


def test_no_path_of_a_machine_is_written_down(texts: dict[str, bytes]) -> None:
    wrong = [
        f"{name}: {found[0]}"
        for name, content in texts.items()
        for found in [MACHINE.search(content.decode("utf-8", "replace"))]
        if found
    ]
    assert wrong == []


@pytest.mark.parametrize("path", ["/ho" + "me/ann/x", '"/tm' + 'p/x"', "C:\\Us" + "ers\\ann"])
def test_a_path_of_a_machine_is_found(path: str) -> None:
    assert MACHINE.search(path)
    assert not MACHINE.search(
        "/proc/self/fd, /dev/null, /usr/bin/env, notebooks/home/x, //host/tmp"
    )


def test_no_module_is_two(code: dict[str, str]) -> None:
    long = {name: text.count("\n") for name, text in code.items() if text.count("\n") > LINES}
    assert {name: lines for name, lines in long.items() if name not in LONG} == {}
    assert set(LONG) <= set(long), "no longer long"


def test_an_exception_to_a_rule_says_why(texts: dict[str, bytes]) -> None:
    """`# noqa: CODE - reason`; mypy's ignores name their error, which says what is wrong."""
    wrong = [
        f"{name}:{number}"
        for name, content in texts.items()
        if name.endswith(".py") and name not in {*GENERATED, "tests/test_house.py"}
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1)
        if re.search(r"#\s*noqa\b", line) and not re.search(r"# noqa: [A-Z0-9, ]+ - \w", line)
    ]
    assert wrong == []


def test_every_text_is_read_and_written_alike_on_every_system(code: dict[str, str]) -> None:
    """With its encoding, also where ruff's PLW1514 can't tell a path; written with plain ends."""
    wrong = [
        f"{name}:{call.lineno}: no {word}="
        for name, text in code.items()
        for method, words in (("read_text", ["encoding"]), ("write_text", ["encoding", "newline"]))
        for call in calls(text, method)
        for word in words
        if word not in {keyword.arg for keyword in call.keywords}
    ]
    assert wrong == []


def calls(source: str, method: str) -> Iterator[ast.Call]:
    """Calls of a method of this name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) if name == method:
                yield node


def test_what_is_imported_is_declared(root: Path, texts: dict[str, bytes]) -> None:
    """What the package declares it also imports; and no library comes by way of another."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = set(map(bare, project["dependencies"]))
    package, tests = (
        {
            library
            for name, content in texts.items()
            if name.startswith(folder) and name.endswith(".py")
            for library in libraries(content.decode("utf-8"))
        }
        for folder in ("pylm_lab/", "tests/")
    )
    # A notebook has an IPython, and pytest loads its plugin; nothing else asks for them.
    assert package - {"IPython", "pytest"} == declared
    ours = {Path(name).stem for name in texts if name.startswith("tests/")}
    extra = set(map(bare, project["optional-dependencies"]["test"]))
    assert tests - ours <= declared | extra


def bare(requirement: str) -> str:
    """What it is imported as."""
    imported = {"pyzmq": "zmq", "protobuf": "google", "pillow": "PIL", "fonttools": "fontTools"}
    name = re.split(r"[<>=!~ \[;]", requirement)[0]
    return imported.get(name, name)


def libraries(source: str) -> set[str]:
    """What a module imports, anywhere in it, from outside the package and Python."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(level=0, module=str(module)):
                found.add(module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"pylm_lab"}
