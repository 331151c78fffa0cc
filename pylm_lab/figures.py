"""The figures of `figures/`: each made from a run or a wiring, never by hand.

1. A figure is a function here and a file there; the file is what the function makes, byte for byte.
2. `compare` finds every difference: drift, a missing file, a file that nobody makes.
3. A run with HTTP is a free one, so of it is drawn only what is the same each time: who is wired to
   whom, and how many messages went there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pylm_lab.draw.animation import animate
from pylm_lab.draw.figure import draw
from pylm_lab.scenarios import build_master, get
from pylm_lab.trace import Trace

__all__ = ["compare", "make", "names"]

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")


@cache
def _run() -> Trace:
    return get("parallel").run(seed=1)


@cache
def _hub_run() -> Trace:
    return get("server_hub").run(seed=1, messages=10)


@cache
def _gateway_run() -> Trace:
    return get("gateway").run(messages=10)


@cache
def _http_run() -> Trace:
    return get("http").run(messages=10)


def _router(theme: Theme) -> Any:
    return draw(build_master(), theme=theme)


def _master(theme: Theme) -> Any:
    return draw(_run(), theme=theme)


def _hub(theme: Theme) -> Any:
    return draw(_hub_run(), theme=theme, server="hub")


def _microservice(theme: Theme) -> Any:
    return draw(_gateway_run(), theme=theme, title="A microservice: a master behind HTTP")


def _http_worker(theme: Theme) -> Any:
    return draw(_http_run(), theme=theme, title="A web worker: what it answers goes on to Pub")


def _flow() -> Any:
    return animate(_run())


_DRAWN: dict[str, Callable[[Theme], Any]] = {
    "router": _router,
    "master": _master,
    "hub": _hub,
    "microservice": _microservice,
    "http-worker": _http_worker,
}


def names() -> list[str]:
    """The files that there should be."""
    return [name for name, _ in _figures()]


def _figures() -> Iterator[tuple[str, Callable[[], Any]]]:
    for name, figure in _DRAWN.items():
        for theme in THEMES:
            for suffix in ("svg", "png"):
                yield f"{name}-{theme}.{suffix}", lambda f=figure, t=theme: f(t)  # type: ignore[misc]
    yield "flow.gif", _flow


def make(folder: Path, told: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Write every figure into the folder, which is made if need be; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, figure in _figures():
        told(name)
        figure().save(folder / name)
        made.append(folder / name)
    return made


def compare(folder: Path, told: Callable[[str], None] = lambda _: None) -> list[str]:
    """What is not as it is made now: a sentence for each file, none if all is well."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        for fresh in make(Path(place), told):
            kept = folder / fresh.name
            if not kept.is_file():
                found.append(f"{kept} is missing")
            elif kept.read_bytes() != fresh.read_bytes():
                found.append(f"{kept} is not what the code draws now")
    known = set(names())
    if folder.is_dir():
        found += [
            f"{path} is made by nobody"
            for path in sorted(folder.iterdir())
            if path.name not in known and not path.name.startswith(".")
        ]
    return found
