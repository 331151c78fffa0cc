"""Rows: a trace as a table, one row a hop.

======================  ============================================================================
hop                     its position in `Trace.hops`
kind                    `message`, `credit`, `request`, `answer` or `ready`
message                 the message's id, or empty: it has none
name                    what pictures and tables call it (`1`, `1.2`, `r3`), or empty
parent                  id of the message that it was made from, or empty
source, target          ids of the actors at its two ends, or empty: not known
from_port, to_port      ids of the ports where it was sent (or given up before), and where it was
                        received (or given up instead)
sent, received,         when that was, in the trace's unit (nanoseconds or steps); None: it was not
dropped
latency                 received less sent; None unless it was both
lost                    it was given up, and nobody received it
cause                   why it was given up, or empty
function, stage         what it asks for, and the step of a pipeline
clock                   the Lamport clock in it, 0 where it carries none
topic                   a publication's first frame, or empty
payload                 the beginning of what it carries, as text
bytes, frames           how many bytes and frames it has
======================  ============================================================================

What a message has brought along (`cause`, `function`, `topic`, `payload`) is one harmless line, as
it is everywhere; ids are as they are.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pylm_lab.errors import LabError
from pylm_lab.trace.columns import Hops
from pylm_lab.trace.exports.reading import walk
from pylm_lab.trace.show.excerpt import excerpt
from pylm_lab.trace.tables import KINDS

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["COLUMNS", "frame", "records", "rows"]

COLUMNS = (
    "hop",
    "kind",
    "message",
    "name",
    "parent",
    "source",
    "target",
    "from_port",
    "to_port",
    "sent",
    "received",
    "dropped",
    "latency",
    "lost",
    "cause",
    "function",
    "stage",
    "clock",
    "topic",
    "payload",
    "bytes",
    "frames",
)
#: Columns of a text. A recorder keeps less of a payload than that.
_TEXT = 200
#: What pandas is to make of a column; all others are texts.
_TYPES = {
    "hop": "int64",
    # Some of these are missing: pandas has integers that can be.
    "sent": "Int64",
    "received": "Int64",
    "dropped": "Int64",
    "latency": "Int64",
    "lost": "bool",
    "stage": "int64",
    "clock": "uint64",
    "bytes": "int64",
    "frames": "int64",
}


def rows(trace: Trace) -> Iterator[tuple[Any, ...]]:
    """A row for each hop, its values in the order of `COLUMNS`."""
    events, hops = trace.columns, trace.hops
    assert isinstance(hops, Hops)
    if not len(hops):
        return
    texts, ids, actors, ports = events.texts, events.ids, events.tables.actors, events.tables.ports
    contents, envelopes = events.contents, events.envelopes
    numbers = [trace.numbers.get(id, "") for id in ids]
    around = np.array([sum(sizes) for sizes in envelopes.sizes], np.int64)
    frames = np.array([len(sizes) for sizes in envelopes.sizes], np.int64)
    size = events.of_content(contents.size, -1)
    shown: dict[int, str] = {}

    def show(text: int) -> str:
        found = shown.get(text)
        if found is None:
            found = shown[text] = excerpt(texts[text], _TEXT)
        return found

    begins = hops.begins
    table = walk(
        np.arange(len(hops)),
        hops.kind,
        hops.message,
        events.of_content(contents.parent)[begins],
        hops.source,
        hops.target,
        hops.sent,
        hops.received,
        hops.dropped,
        events.of_content(contents.function)[begins],
        events.of_content(contents.stage)[begins],
        events.of_content(contents.clock)[begins],
        events.of_envelope(envelopes.topic)[begins],
        events.of_content(contents.excerpt)[begins],
        (np.maximum(size, 0) + events.of_envelope(around))[begins],
        ((size >= 0) + events.of_envelope(frames))[begins],
    )
    at, port, actor, text = events.at.item, events.port.item, events.actor.item, events.text.item
    for (
        n, kind, message, parent, source, target, sent, received, dropped, function, stage, clock,
        topic, payload, size_of, count,
    ) in table:  # fmt: skip
        left = port(sent) if sent >= 0 else -1
        came = port(received) if received >= 0 else -1
        if dropped >= 0:
            if left < 0 and actor(dropped) == source:
                left = port(dropped)
            elif came < 0 and actor(dropped) == target:
                came = port(dropped)
        then = at(sent) if sent >= 0 else None
        now = at(received) if received >= 0 else None
        yield (
            n,
            KINDS[kind],
            ids[message],
            numbers[message],
            ids[parent],
            actors[source] if source >= 0 else "",
            actors[target] if target >= 0 else "",
            ports[left] if left >= 0 else "",
            ports[came] if came >= 0 else "",
            then,
            now,
            at(dropped) if dropped >= 0 else None,
            now - then if then is not None and now is not None else None,
            dropped >= 0 and received < 0,
            show(text(dropped)) if dropped >= 0 else "",
            show(function),
            stage,
            clock,
            show(topic),
            show(payload),
            size_of,
            count,
        )


def records(trace: Trace) -> list[dict[str, Any]]:
    """The rows as dicts."""
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows(trace)]


def frame(trace: Trace) -> Any:
    """The rows as a pandas.DataFrame.

    Raises:
        LabError: pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        raise LabError(
            f"to_pandas() needs a package that is not installed, {error.name}: pip install pandas,"
            " or take Trace.to_records(), which needs none"
        ) from error
    columns = zip(*rows(trace), strict=True) if len(trace.hops) else ((),) * len(COLUMNS)
    text = None if len(trace.hops) else "str"
    return pandas.DataFrame(
        {
            name: pandas.Series(list(values), dtype=_TYPES.get(name, text))
            for name, values in zip(COLUMNS, columns, strict=True)
        }
    )
