"""OTLP: spans as JSON, which OpenTelemetry collectors and what stands behind them take.

1. A resource is a server, or an actor of its own. What is sent is a producer's span, what is
   received a consumer's; a publication is one span, with a child at each subscriber.
2. A trace is what became of one message: its parents and its children are in it. The parent of a
   receive is its send, the parent of a send the receive of the same message by the same actor,
   else of its parent; that of an answer is its request. Messages for which the actor's function
   gave nothing are linked to what it sent next: they may be in it.
3. A consumer's span lasts until the last send that it is the parent of.
4. Ids come from message ids and positions: the same trace gives the same spans. The clock has no
   date, so time begins in 2000; a step of a controlled run is written as a microsecond.
5. What says nothing of a message (acknowledgements, echoes of subscriptions) is left out.

The format: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding; what attributes are
called: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pylm_lab.hook import GAVE_NOTHING
from pylm_lab.trace.exports.reading import Group, Reading, walk
from pylm_lab.trace.show.gaps import gaps
from pylm_lab.trace.tables import KINDS, WHATS, Positions

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["EPOCH", "lines"]

#: When the time of a trace begins, in nanoseconds since 1970: 2000-01-01.
EPOCH = 946_684_800 * 10**9

_SEND, _RECEIVE, _DROP = map(WHATS.index, ("send", "receive", "drop"))
_REQUEST, _ANSWER = KINDS.index("request"), KINDS.index("answer")
_TOLD = [KINDS.index(kind) for kind in ("message", "request", "answer")]
_PRODUCER, _CONSUMER = 4, 5
#: As many as an SDK keeps by default.
_LINKS = 128

_quote = json.encoder.encode_basestring


def lines(trace: Trace) -> Iterator[str]:
    """The document, by pieces."""
    reading = Reading(trace)
    spans = _Spans(reading)
    yield '{"resourceSpans":['
    before = "\n"
    for group, positions in spans.by_resource():
        about = {
            "service.name": group.name,
            "pylm_lab.schedule": trace.how,
            "pylm_lab.scenario": trace.scenario,
            "pylm_lab.clock": "one step is written as 1 µs" if reading.micro else "ns",
            "pylm_lab.gaps": " ".join(gaps(trace)),
        }
        attributes = ",".join(_text(key, told) for key, told in about.items() if told)
        yield (
            f'{before}{{"resource":{{"attributes":[{attributes}]}},'
            '"scopeSpans":[{"scope":{"name":"pylm_lab"},"spans":['
        )
        before = "\n"
        for span in spans.of(positions):
            yield f"{before}{span}"
            before = ",\n"
        yield "\n]}]}"
        before = ",\n"
    yield "\n]}\n"


def _text(key: str, value: str) -> str:
    return f'{{"key":"{key}","value":{{"stringValue":{_quote(value)}}}}}'


def _integer(key: str, value: int) -> str:
    # 64-bit integers are decimal strings in protobuf's JSON.
    return f'{{"key":"{key}","value":{{"intValue":"{value}"}}}}'


class _Spans:
    """Which events are spans, and how they hang together."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        events, hops = self._events, self._hops = reading.events, reading.hops
        chosen = events.are("send", "receive")
        # What was given up before it was sent, or in its receiver's hands before it was received.
        gone = hops.dropped[(hops.dropped >= 0) & (hops.sent < 0) & (hops.received < 0)]
        chosen[gone] = True
        chosen &= np.isin(events.kind, _TOLD)
        self.chosen: Positions = np.flatnonzero(chosen).astype(np.int32)
        self._sends = np.flatnonzero(chosen & (events.what == _SEND))
        self._receives = np.flatnonzero(chosen & (events.what == _RECEIVE))
        self._parent = self._parents(chosen)
        end = self._end = reading.at.copy()
        children = self._sends[self._parent[self._sends] >= 0]
        np.maximum.at(end, self._parent[children], reading.at[children])
        self._root = self._roots()
        self._links = self._fan_in()
        self._where = np.full(len(events), -1, np.int32)
        self._failed: dict[int, str] = {}
        self._read_hops()
        self._unit = 1000 if reading.micro else 1
        self._digests: dict[int, str] = {}
        self._function = events.of_content(events.contents.function)
        self._payload = events.of_content(events.contents.excerpt)
        self._bytes = events.of_content(events.contents.size)
        self._bytes += events.of_envelope(
            np.array([sum(sizes) for sizes in events.envelopes.sizes], np.int64)
        )

    def by_resource(self) -> Iterator[tuple[Group, Positions]]:
        """Each group that has spans, with their positions."""
        groups = self._reading.groups()
        group_of = np.zeros(len(self._events.tables.actors), np.int32)
        for n, group in enumerate(groups):
            group_of[group.actors] = n
        of = group_of[self._events.actor[self.chosen]]
        order = self.chosen[np.argsort(of, kind="stable")]
        ends = np.cumsum(np.bincount(of, minlength=len(groups)))
        for n, group in enumerate(groups):
            positions = order[ends[n - 1] if n else 0 : ends[n]]
            if len(positions):
                yield group, positions

    def of(self, positions: Positions) -> Iterator[str]:
        """The spans at these positions."""
        reading, events = self._reading, self._events
        columns = (
            reading.at,
            self._end,
            events.what,
            events.actor,
            events.kind,
            reading.message,
            self._parent,
            self._root,
            self._where,
            self._function,
            self._payload,
            self._bytes,
        )
        ids = [_quote(id) for id in reading.ids]
        rows = walk(positions, *(column[positions] for column in columns))
        for n, at, end, what, actor, kind, message, parent, root, to, does, says, size in rows:
            trace_id = self._digest(root)
            sends = what == _SEND or (what == _DROP and to != actor)
            verb, role = ("send", _PRODUCER) if sends else ("process", _CONSUMER)
            where = reading.who(to) if to >= 0 else ""
            attributes = [
                '{"key":"messaging.system","value":{"stringValue":"zeromq"}}',
                f'{{"key":"messaging.operation.name","value":{{"stringValue":"{verb}"}}}}',
                f'{{"key":"messaging.operation.type","value":{{"stringValue":"{verb}"}}}}',
                f'{{"key":"messaging.client.id","value":{{"stringValue":{ids[actor]}}}}}',
                f'{{"key":"pylm_lab.kind","value":{{"stringValue":"{KINDS[kind]}"}}}}',
            ]
            if where:
                attributes.append(_text("messaging.destination.name", where))
            if message:
                attributes.append(_text("messaging.message.id", reading.id(message)))
            if size > 0:
                attributes.append(_integer("messaging.message.envelope.size", size))
            if does:
                attributes.append(_text("pylm_lab.function", reading.shown(does)))
            if says:
                attributes.append(_text("pylm_lab.payload", reading.shown(says)))
            more = f',"parentSpanId":"{trace_id[:8]}{parent + 1:08x}"' if parent >= 0 else ""
            if n in self._links:
                more += self._linked(n)
            failed = self._failed.get(n)
            if failed is not None:
                attributes.append(
                    _text("error.type", failed.partition(" on ")[0].partition(":")[0])
                )
                more += f',"status":{{"code":2,"message":{_quote(failed)}}}'
            yield (
                f'{{"traceId":"{trace_id}","spanId":"{trace_id[:8]}{n + 1:08x}"{more},'
                f'"name":{_quote(f"{verb} {where}".rstrip())},"kind":{role},'
                f'"startTimeUnixNano":"{EPOCH + at * self._unit}",'
                f'"endTimeUnixNano":"{EPOCH + end * self._unit}",'
                f'"attributes":[{",".join(attributes)}]}}'
            )

    def _parents(self, chosen: npt.NDArray[np.bool_]) -> Positions:
        events, reading = self._events, self._reading
        parent: Positions = np.full(len(events), -1, np.int32)
        came = self._receives[reading.sent_of[self._receives] >= 0]
        parent[came] = reading.sent_of[came]
        parent[parent >= 0] = np.where(chosen[parent[parent >= 0]], parent[parent >= 0], -1)
        leaves = np.flatnonzero(chosen & (events.what != _RECEIVE))
        actor = events.actor.astype(np.int64) * (len(events.ids) + 1)
        own, made_of = reading.message, events.of_content(events.contents.parent)
        for wanted in (made_of, own):
            senders = leaves[(wanted[leaves] > 0) & (events.kind[leaves] != _ANSWER)]
            receivers = self._receives[own[self._receives] > 0]
            found = _latest(actor + own, receivers, actor + wanted, senders)
            parent[senders] = np.where(found >= 0, found, parent[senders])
        answers = leaves[events.kind[leaves] == _ANSWER]
        asked = self._receives[events.kind[self._receives] == _REQUEST]
        parent[answers] = _latest(events.port, asked, events.port, answers)
        return parent

    def _roots(self) -> npt.NDArray[np.int64]:
        """What each span's trace is named after: a message, or (negative) an event without one."""
        events = self._events
        made_of: dict[int, int] = {}
        for message, parent in walk(events.contents.message, events.contents.parent):
            if message and parent:
                made_of.setdefault(message, parent)
        tops: dict[int, int] = {}

        def top(message: int) -> int:
            way: list[int] = []
            while message in made_of and message not in tops and len(way) <= len(made_of):
                way.append(message)
                message = made_of[message]
            found = tops.get(message, message)
            tops.update(dict.fromkeys(way, found))
            return found

        root = array("q", bytes(8 * len(events)))
        parents, message = self._parent[self.chosen], self._reading.message[self.chosen]
        for n, parent, own in walk(self.chosen, parents, message):
            root[n] = root[parent] if parent >= 0 else top(own) if own else -n - 1
        return np.frombuffer(root, np.int64)

    def _fan_in(self) -> dict[int, list[int]]:
        """Send → receives of what its actor has given up since its last send."""
        events, hops = self._events, self._hops
        nothing = [n for n, text in enumerate(events.texts) if text == GAVE_NOTHING]
        kept = np.flatnonzero((hops.received >= 0) & (hops.dropped >= 0))
        kept = kept[np.isin(events.text[hops.dropped[kept]], nothing)]
        if not len(kept):
            return {}
        found: dict[int, list[int]] = {}
        waiting: dict[int, list[int]] = defaultdict(list)
        given_up = dict(walk(hops.dropped[kept], hops.received[kept]))
        at = np.concatenate([self._sends[self._parent[self._sends] >= 0], hops.dropped[kept]])
        at.sort()
        for n, actor in walk(at, events.actor[at]):
            if n in given_up:
                waiting[actor].append(given_up[n])
            elif actor in waiting:
                found[n] = waiting.pop(actor)
        return found

    def _linked(self, n: int) -> str:
        links = self._links[n]
        told = []
        for other in links[-_LINKS:]:
            trace_id = self._digest(self._root.item(other))
            told.append(
                f'{{"traceId":"{trace_id}","spanId":"{trace_id[:8]}{other + 1:08x}",'
                f'"attributes":[{_text("pylm_lab.link", GAVE_NOTHING)}]}}'
            )
        left = len(links) - len(told)
        return f',"links":[{",".join(told)}]' + (f',"droppedLinksCount":{left}' if left else "")

    def _read_hops(self) -> None:
        """Where each span's message was to go, and what was lost."""
        events, hops, where = self._events, self._hops, self._where
        sent = hops.sent >= 0
        counts = np.bincount(hops.sent[sent], minlength=len(events))
        where[hops.sent[sent]] = hops.target[sent]
        # What goes to several goes by its publisher's name.
        several = np.flatnonzero(counts > 1)
        where[several] = events.actor[several]
        came = hops.received >= 0
        where[hops.received[came]] = hops.target[came]
        known = came & sent
        where[hops.received[known]] = where[hops.sent[known]]
        lost = hops.lost
        where[hops.dropped[lost & ~sent]] = hops.target[lost & ~sent]
        columns = (hops.sent, hops.received, hops.dropped, hops.target)
        gone = np.flatnonzero(hops.dropped >= 0)
        for sent_at, received, dropped, target in walk(*(column[gone] for column in columns)):
            cause = self._reading.shown(events.text.item(dropped))
            if received >= 0:
                if events.texts[events.text.item(dropped)] != GAVE_NOTHING:
                    self._failed[received] = f"given up: {cause}"
            else:
                n = sent_at if sent_at >= 0 else dropped
                told = f"lost on its way to {self._reading.who(target)}: {cause}"
                self._failed[n] = f"{self._failed[n]}; {told}" if n in self._failed else told

    def _digest(self, root: int) -> str:
        found = self._digests.get(root)
        if found is None:
            named = self._events.ids[root] if root > 0 else f"event {-root}"
            found = blake2b(named.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()
            self._digests[root] = found
        return found


def _latest(
    keys: npt.NDArray[Any], before: npt.NDArray[Any], wanted: npt.NDArray[Any], at: npt.NDArray[Any]
) -> Positions:
    """For each event `at`, the last of those `before` it whose key is what it wants; or -1."""
    key = np.concatenate([keys[before], wanted[at]])
    n = np.concatenate([before, at])
    order = np.lexsort((n, key))
    rank = np.arange(len(order))
    last = np.maximum.accumulate(np.where(order < len(before), rank, -1)) if len(order) else rank
    found = np.full(len(order), -1, np.int32)
    ok = last >= 0
    ok[ok] = key[order[last[ok]]] == key[order[ok]]
    found[order[ok]] = n[order[last[ok]]]
    return found[len(before) :]
