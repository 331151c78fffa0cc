"""Documented names and exported names are the same, and each says what it is for."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

import pylm_lab

#: Made by protoc, which writes no docstrings and no __all__.
GENERATED = {"pylm_lab.parts.messages_pb2"}
#: Run, never imported.
PROGRAMS = {"pylm_lab.__main__"}

NAMES = re.compile(r"<!-- public-names -->(.*?)<!-- /public-names -->", re.DOTALL)


@pytest.fixture(scope="module")
def modules() -> list[ModuleType]:
    """Every module of the package."""
    names = [pylm_lab.__name__]
    names += [m.name for m in pkgutil.walk_packages(pylm_lab.__path__, f"{pylm_lab.__name__}.")]
    return [importlib.import_module(name) for name in names if name not in GENERATED | PROGRAMS]


@pytest.fixture(scope="module")
def documented(root: Path) -> list[str]:
    """The names in README's list of public names, as they stand there."""
    block = NAMES.search((root / "README.md").read_text(encoding="utf-8"))
    assert block, "README.md has no list between <!-- public-names --> and <!-- /public-names -->"
    return re.findall(r"`(?:lab\.)?([A-Za-z]\w*)`", block[1])


# ------------------------------------------------------------------------------------- every module


def test_every_module_says_what_it_exports(modules: list[ModuleType]) -> None:
    silent = [m.__name__ for m in modules if not hasattr(m, "__all__") and not is_empty(m)]
    assert silent == []


def is_empty(module: ModuleType) -> bool:
    """A package that is only a folder for its modules: nothing in its file but a docstring."""
    body = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body
    return all(isinstance(node, (ast.Expr, ast.ImportFrom)) for node in body)


def test_every_exported_name_exists_once(modules: list[ModuleType]) -> None:
    exported = [(module, name) for module in modules for name in getattr(module, "__all__", ())]
    assert [f"{m.__name__}.{name}" for m, name in exported if not hasattr(m, name)] == []
    assert [
        f"{m.__name__}.{name}" for m, name in set(exported) if exported.count((m, name)) > 1
    ] == []


def test_everything_public_has_a_docstring(modules: list[ModuleType]) -> None:
    wrong = sorted({line for module in modules for line in undocumented(module)})
    assert wrong == []


def undocumented(module: ModuleType) -> Iterator[str]:
    """Exported classes and functions, and public methods and properties, without a docstring."""
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name, None)
        if not str(getattr(thing, "__module__", "")).startswith(pylm_lab.__name__):
            continue
        where = f"{thing.__module__}.{getattr(thing, '__qualname__', name)}"
        if inspect.isclass(thing):
            own = vars(thing).get("__doc__") or ""
            # What a dataclass or a named tuple makes up for itself is its signature.
            if not own or own.startswith(f"{thing.__name__}("):
                yield where
            yield from (f"{where}.{method}" for method in undocumented_methods(thing))
        elif inspect.isroutine(thing) and not inspect.getdoc(thing):
            yield where


def undocumented_methods(cls: type) -> Iterator[str]:
    """A docstring may be inherited: a hook's method is told of in Hook."""
    for name, value in vars(cls).items():
        is_method = inspect.isroutine(value) or isinstance(
            value, (property, classmethod, staticmethod)
        )
        if is_method and not name.startswith("_") and not inspect.getdoc(getattr(cls, name)):
            yield name


def test_a_package_only_re_exports(root: Path) -> None:
    """What is in an __init__.py is found where nobody looks for it."""
    wrong = [
        f"{path.relative_to(root).as_posix()}:{node.lineno}: {node.name}"
        for path in sorted((root / "pylm_lab").rglob("__init__.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and node.name not in {"__getattr__", "__dir__"}
        # What a package is when it is called can only be said in the package itself.
        and not (isinstance(node, ast.ClassDef) and "ModuleType" in ast.unparse(node.bases[0]))
    ]
    assert wrong == []


# -------------------------------------------------------------------------------------- the package


def test_the_documented_names_are_the_exported_ones(documented: list[str]) -> None:
    assert sorted(documented) == sorted(pylm_lab.__all__)
    assert len(set(documented)) == len(documented)


def test_each_public_name_is_there(documented: list[str]) -> None:
    assert [name for name in documented if getattr(pylm_lab, name, None) is None] == []


def test_dir_lists_the_public_names() -> None:
    assert set(pylm_lab.__all__) <= set(dir(pylm_lab))


def test_a_name_that_is_not_there_is_told_with_where_to_look() -> None:
    wrong = "Clustr"
    with pytest.raises(AttributeError, match=r"'Clustr'.*dir\(pylm_lab\)") as caught:
        getattr(pylm_lab, wrong)
    # What an interpreter needs to add: Did you mean 'Cluster'?
    assert (caught.value.name, caught.value.obj) == (wrong, pylm_lab)
    assert not hasattr(pylm_lab, "nothing_like_it")


@pytest.mark.parametrize("first", ["pylm_lab.draw.scene", "pylm_lab.trace.rules.check"])
def test_a_public_name_means_the_same_whatever_was_imported_before(first: str) -> None:
    """`import pylm_lab.draw.scene` also sets an attribute named draw: the package's."""
    code = f"import {first}, pylm_lab as lab; print(callable(lab.draw), callable(lab.check))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True"]


def test_the_package_says_that_it_is_typed() -> None:
    assert files(pylm_lab).joinpath("py.typed").is_file()


def test_the_changelog_tells_of_this_version(root: Path) -> None:
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(pylm_lab.__version__)}\b", changes, re.MULTILINE)
