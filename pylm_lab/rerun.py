"""A recorded run once more: what a change of code has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from pylm_lab.cluster import Cluster
from pylm_lab.errors import WiringError
from pylm_lab.replaying import Divergence
from pylm_lab.scenarios import get, names
from pylm_lab.trace import Trace

__all__ = ["Replay", "replay"]


@dataclass(frozen=True, repr=False)
class Replay:
    """What came of a replay.

    `trace` is the new record, `divergence` its first difference from the old one, or None.
    `result` is what the run returned, `error` what it failed with, or None.
    """

    trace: Trace
    divergence: Divergence | None
    result: Any = None
    error: Exception | None = None

    def __repr__(self) -> str:
        if self.divergence is None:
            text = f"The same run, in all of {len(self.trace.events):,} events."
        else:
            text = f"It first differs at {self.divergence}."
        if self.error is not None:
            text += f" It ended with {type(self.error).__name__}: {self.error}"
        return text

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"


def replay(
    trace: Trace, play: Callable[[Cluster], Any] | None = None, *, limit: int | None = None
) -> Replay:
    """Run the same real system once more, along the decisions that the trace carries.

    Every operation happens in the recorded order, with the same ids, as long as it is possible; so
    the first difference is what a change of code has changed. After it the run goes on, in the
    plain order. Faults that were planted are planted again.

    Args:
        trace: the record of a seeded, a stepped or a replayed run.
        play: builds the cluster that it is given and calls its clients, as the recorded run did;
            it may be left out for a trace of one of `lab.scenarios`.
        limit: steps after which it is given up as endless; None: ten times as many as recorded.

    Returns:
        A `Replay`: `.trace` and `.divergence` (None if there is none), `.result` and `.error`.

    Raises:
        WiringError: the trace has no decisions, or nothing tells what to run.
    """
    if not isinstance(trace, Trace):
        raise WiringError(f"{trace!r}: give it a trace, such as Trace.load(…)")
    if play is None:
        if trace.scenario not in names():
            raise WiringError(
                "nothing tells what to run: this trace is of no ready-made scenario. Give a "
                "function that builds it, replay(trace, play)"
            )
        scenario = get(trace.scenario)

        def play(cluster: Cluster) -> Any:
            return scenario.play(cluster, **trace.options)

    elif not callable(play):
        raise WiringError(f"play={play!r}: give a function that is given a cluster and runs it")
    steps = trace.decisions[-1].at if trace.decisions else 0
    result, error = None, None
    with Cluster(replay=trace, limit=limit or 10 * steps + 1000) as cluster:
        task = cluster.start(play, cluster)
        try:
            result = task.result()
        except Exception as failed:  # noqa: BLE001 - a user's function may fail in any way
            # What was left in the middle then is so now.
            error = failed if task.done else None
    return Replay(cluster.trace, cluster.divergence, result, error)
