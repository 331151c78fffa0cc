"""Beyond: what came from where, across somebody who was not recorded.

1. A message that is received under an id under which it was sent before, by somebody recorded, came
   after that: whoever was in between may be a proxy, or a worker of another make.
2. The clock that it bears says which of several sends it may have come from: none that is later.
3. What one record tells is in order, so nothing comes from what that record, or a chain of
   messages, shows to be later.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from pylm_lab.trace.hops.match import Matching
from pylm_lab.trace.tables import Positions, code

__all__ = ["beyond"]


def beyond(found: Matching, whose: npt.NDArray[np.int64]) -> Positions:
    """For each receive whose sender is not known, the send that it came from in the end; or -1.

    `whose` is the record that each event is in; within it, events are in order.
    """
    events, came_from = found.events, found.came_from
    result: Positions = np.full(len(events), -1, np.int32)
    message = events.message
    matched = np.zeros(len(events), np.bool_)
    matched[came_from[came_from >= 0]] = True
    is_send = (events.what == code("send")) & (message > 0)
    is_receive = (events.what == code("receive")) & (message > 0)
    open_sends = is_send & ~matched
    open_receives = is_receive & (came_from < 0)
    if found.faults.doubled:
        open_receives[list(found.faults.doubled)] = False
    both = np.intersect1d(message[open_sends], message[open_receives])
    if not len(both):
        return result
    wanted = np.isin(message, both) & (is_send | is_receive)
    journeys: dict[int, list[int]] = defaultdict(list)
    for n in np.flatnonzero(wanted).tolist():
        journeys[message.item(n)].append(n)
    clock = events.of_content(events.contents.clock)
    for journey in journeys.values():
        way = _Way(journey, whose, came_from)
        sends = [n for n in journey if open_sends[n]]
        free = set(sends)
        for arrival in sorted(
            (n for n in journey if open_receives[n]), key=lambda n: (clock.item(n), n)
        ):
            after = way.after(arrival)
            may = [
                send
                for send in sends
                if send not in after
                and clock.item(send) <= clock.item(arrival)
                and events.kind[send] == events.kind[arrival]
            ]
            if may:
                send = max(may, key=lambda n: (n in free, clock.item(n), n))
                free.discard(send)
                way.join(send, arrival)
                result[arrival] = send
    return result


class _Way:
    """What is known to come after what, of one message."""

    def __init__(
        self, journey: list[int], whose: npt.NDArray[np.int64], came_from: Positions
    ) -> None:
        self._next: dict[int, list[int]] = defaultdict(list)
        last: dict[int, int] = {}
        there = set(journey)
        for n in journey:
            record = whose.item(n)
            if record in last:
                self.join(last[record], n)
            last[record] = n
            if came_from.item(n) in there:
                self.join(came_from.item(n), n)

    def join(self, before: int, after: int) -> None:
        """This one comes after that one."""
        self._next[before].append(after)

    def after(self, n: int) -> set[int]:
        """All that comes after it."""
        found, todo = set[int](), [n]
        while todo:
            for later in self._next[todo.pop()]:
                if later not in found:
                    found.add(later)
                    todo.append(later)
        return found
