"""Strangers: those who take part in a run and are not recorded, beside others who are.

1. Anybody may connect to a port that binds. What appears there for the first time came from a
   stranger, and what is sent back for it through that port went to one.
2. A message that left the record and comes back into it has been with a stranger: it was not lost,
   and did not come from nowhere.
3. Frames without an id can't be told apart. Where strangers send some, nobody knows whose came.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pylm_lab.trace.rules.facts import Case
from pylm_lab.trace.tables import Flags

__all__ = ["Strangers"]


class Strangers(NamedTuple):
    """Hops whose other end may have been a stranger's: what came, and what went."""

    came: Flags
    went: Flags

    @classmethod
    def of(cls, case: Case, unsent: Flags, unreceived: Flags) -> Strangers:
        """Those among what nobody has sent, and among what nobody has received."""
        hops = case.hops
        found = cls(np.zeros(len(hops), np.bool_), np.zeros(len(hops), np.bool_))
        bound = case.ports_that(lambda port: port.binds)
        at_bound = unsent & case.of_port(np.where(unsent, hops.received, -1), bound)
        if at_bound.any():
            found._nameless(case, at_bound, unreceived)
            found._named(case, at_bound, unreceived)
        return found

    def _nameless(self, case: Case, at_bound: Flags, unreceived: Flags) -> None:
        hops = case.hops
        nameless = at_bound & (hops.message == 0)
        self.came[nameless] = True
        if not nameless.any():
            return
        groups = [case.trace.declared.group(port.id) if port else "" for port in case.ports]
        ports = np.unique(case.events.port[hops.received[nameless]])
        mixed = {groups[port] for port in ports.tolist()} - {""}
        flags = np.array([*(group in mixed for group in groups), False], np.bool_)
        met = unreceived & (hops.message == 0)
        self.went[met & case.of_port(np.where(met, hops.sent, -1), flags)] = True

    def _named(self, case: Case, at_bound: Flags, unreceived: Flags) -> None:
        hops, events = case.hops, case.events
        parent = case.parent
        message = events.message
        known = np.flatnonzero(message > 0)[::-1]
        first = np.full(len(events.ids), -1, np.int64)
        first[message[known]] = known
        gone: dict[int, list[int]] = {}
        for n in np.flatnonzero(unreceived & (hops.message > 0)).tolist():
            gone.setdefault(hops.message.item(n), []).append(n)
        #: What strangers have brought, and through which port.
        brought: set[tuple[int, int]] = set()
        for n in np.flatnonzero(at_bound & (hops.message > 0)).tolist():
            one, received = hops.message.item(n), hops.received.item(n)
            left = [there for made in case.line(one) for there in gone.get(made, ())]
            back = [there for there in left if hops.sent.item(there) < received]
            self.went[back] = True
            is_new = first.item(one) == received and not parent.item(one)
            self.came[n] = is_new or bool(back)
            if is_new:
                brought.add((one, events.port.item(received)))
        for one, hops_of_it in gone.items():
            for n in hops_of_it:
                port = events.port.item(hops.sent.item(n))
                if any((made, port) in brought for made in case.line(one)):
                    self.went[n] = True
