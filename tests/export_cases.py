"""Traces that are exported: real ones by name, and some that are made up to be hard."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from builder import Build, message
from other_tools import read_chrome, read_csv, read_mermaid, read_otlp, read_shiviz

import pylm_lab as lab

__all__ = ["NASTY", "READERS", "lossy", "lossy_build", "nasty", "published", "scenario"]

READERS: dict[str, Callable[[str], Any]] = {
    "shiviz": read_shiviz,
    "chrome": read_chrome,
    "otlp": read_otlp,
    "mermaid": read_mermaid,
    "csv": read_csv,
}

#: Names and payloads that mean something to one of the tools, or to none.
NASTY = (
    *("end", "a;b", "\ud800x", "#35; x", "wrap: me", "style: 5#;", "classDef x:#f;", "}%% x"),
    *("a\nb", "a\rb", "a\u2028b", "\\n", "<br/>", "<script>alert(1)</script>", "\"q\" 's'", "a,b"),
    *("\u202eabc", "été 漢字 😀", "%%{init: {}}%%", "", " lead", "a\u00a0b\ufeffc", "$$x^2$$"),
    *("a:b->>c: d", "note over a1: x", "end end", "loop x", "box x", "@{x}", "-x", "+1", "=1+1"),
    *("constructor", "__proto__", "1", "x {", 'x {"x":1}', "&#35;"),
)


@cache
def scenario(name: str) -> lab.Trace:
    """What the scenario does; seeded, if it can be."""
    chosen = lab.scenarios[name]
    return chosen.run() if chosen.free_only else chosen.run(seed=1)


@cache
def nasty() -> lab.Trace:
    """Everybody is called something nasty, and sends it to one that gives half of it up."""
    build = Build().actor("sink", "worker")
    build.port("sink:in", "PULL", "inproc://sink", binds=True, receives="message")
    for n, text in enumerate(NASTY):
        name = f"{n}{text}"
        build.actor(name, "worker", label=text, server=text if n % 3 == 0 else "")
        build.port(f"port{n}", "PUSH", actor=name, sends="message").join(
            f"port{n}", "inproc://sink"
        )
    for n, text in enumerate(NASTY):
        data = message(n + 1, payload=text.encode("utf-8", "surrogatepass"))
        build.cross(f"port{n}", "sink:in", data)
        if n % 2:
            build.drop("sink:in", data, cause=text)
    return build.end()


def published() -> lab.Trace:
    """A publication that two receive."""
    build = Build().link("pub:out", "one:in", "PUB SUB").actor("two", "worker")
    build.port("two:in", "SUB", binds=True, receives="message").join("two:in", "inproc://one:in")
    for port in ("one:in", "two:in"):
        build.subscribe(port, b"", "pub:out")
    build.send("pub:out", b"topic", message(1))
    return (
        build.receive("one:in", b"topic", message(1)).receive("two:in", b"topic", message(1)).end()
    )


def lossy_build() -> Build:
    build = Build().link("a:out", "b:in").cross("a:out", "b:in", message(1))
    return build.send("a:out", message(2)).fault("b:in", "drop", message(2))


@cache
def lossy() -> lab.Trace:
    """The second of two messages is lost."""
    return lossy_build().end()
