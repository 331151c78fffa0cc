"""The record of a run: a Recorder writes it, a Trace holds it, `Trace.check` judges it."""

from pylm_lab.trace.check import Count, counts
from pylm_lab.trace.finding import Finding, invariant
from pylm_lab.trace.recorder import Recorder
from pylm_lab.trace.records import Event, Hop, Link
from pylm_lab.trace.trace import Trace

__all__ = [
    "Count",
    "Event",
    "Finding",
    "Hop",
    "Link",
    "Recorder",
    "Trace",
    "counts",
    "invariant",
]
