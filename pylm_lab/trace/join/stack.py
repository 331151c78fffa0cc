"""Stack: the events of several traces as one sequence of columns, one trace after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.builder import Columns
from pylm_lab.trace.columns import Events
from pylm_lab.trace.join.naming import Names, Twin
from pylm_lab.trace.tables import Positions
from pylm_lab.trace.trace import Trace

__all__ = ["stacked"]

_Numbers = npt.NDArray[np.int64]


def stacked(
    traces: Sequence[Trace],
    named: Sequence[Names],
    same: dict[int, Twin],
    actors: Sequence[str],
    ports: Sequence[str],
) -> tuple[Events, _Numbers]:
    """All events under their new names, and for each the position of its trace.

    `actors` and `ports` are all new names, in declared order. What several records tell of one
    actor is taken from the one that tells most.
    """
    columns = Columns(actors, ports)
    whose: list[_Numbers] = []
    fullest = _fullest(traces, named) if same else {}
    for n, (trace, own) in enumerate(zip(traces, named, strict=True)):
        events = trace.columns
        new = [own.actors.get(actor, actor) for actor in events.tables.actors]
        if fullest:
            kept = np.array([fullest.get(actor) == n for actor in new], np.bool_)
            events = events.take(np.flatnonzero(kept[events.actor]))
        _append(columns, events, own, new, same[n].shift if n in same else 0)
        whose.append(np.full(len(events), n, np.int64))
    return columns.events(), np.concatenate(whose)


def _fullest(traces: Sequence[Trace], named: Sequence[Names]) -> dict[str, int]:
    """Actor → the trace that has most of its events, the first of several."""
    most: dict[str, tuple[int, int]] = {}
    for n, (trace, own) in enumerate(zip(traces, named, strict=True)):
        events = trace.columns
        counts = np.bincount(events.actor, minlength=len(events.tables.actors)).tolist()
        for actor, count in zip(events.tables.actors, counts, strict=True):
            name = own.actors.get(actor, actor)
            most[name] = max(most.get(name, (0, 0)), (count, -n))
    return {actor: -n for actor, (_, n) in most.items()}


def _append(columns: Columns, events: Events, own: Names, actors: list[str], shift: int) -> None:
    old = events.tables
    ids = [columns.ids.code(own.message(id)) for id in old.ids]
    texts = [columns.texts.code(text) for text in old.texts]
    places = [columns.texts.code(own.places.get(text, text)) for text in old.texts]
    contents = [
        columns.contents.code(
            (ids[message], ids[parent], clock, stage, texts[function], texts[excerpt], size)
        )
        for message, parent, clock, stage, function, excerpt, size in zip(
            *(column.tolist() for column in old.contents), strict=True
        )
    ]
    envelopes = [
        columns.envelopes.code((texts[peer], texts[topic], sizes))
        for peer, topic, sizes in zip(
            old.envelopes.peer.tolist(),
            old.envelopes.topic.tolist(),
            old.envelopes.sizes,
            strict=True,
        )
    ]
    wired = events.are("bind", "connect", "disconnect")
    text = np.where(wired, _coded(places, events.text), _coded(texts, events.text))
    columns.at.frombytes((events.at + shift).tobytes())
    columns.what.extend(events.what.tobytes())
    columns.kind.extend(events.kind.tobytes())
    columns.fault.extend(events.fault.tobytes())
    ports = [columns.ports.code(own.ports.get(port, port)) for port in old.ports]
    for column, codes, values in (
        (columns.actor, [columns.actors.code(actor) for actor in actors], events.actor),
        (columns.port, ports, events.port),
        (columns.content, contents, events.content),
        (columns.envelope, envelopes, events.envelope),
    ):
        column.frombytes(_coded(codes, values).tobytes())
    columns.text.frombytes(text.astype(np.int32).tobytes())


def _coded(codes: Sequence[int], values: npt.NDArray[Any]) -> Positions:
    """New codes in place of the old ones; -1 stays."""
    found: Positions = np.array([*codes, -1], np.int32)[values]
    return found
