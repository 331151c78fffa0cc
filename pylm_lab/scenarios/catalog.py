"""Which scenarios there are."""

from __future__ import annotations

from pylm_lab.arguments import nearest
from pylm_lab.errors import WiringError
from pylm_lab.scenarios import balanced, piped, web
from pylm_lab.scenarios.scenario import Scenario

__all__ = ["SCENARIOS", "get", "names"]

#: In the order of the course.
SCENARIOS = {
    play.__name__: Scenario(play, free_only=play in (web.gateway, web.http))
    for play in (
        piped.single,
        balanced.parallel,
        balanced.cache,
        balanced.scatter,
        balanced.gather,
        balanced.logging,
        balanced.error,
        balanced.mux,
        piped.pipeline,
        piped.tee,
        piped.stream,
        piped.sink,
        piped.master_pipeline,
        piped.server_hub,
        balanced.template,
        web.gateway,
        web.http,
    )
}


def names() -> list[str]:
    """The names of all scenarios, in the order of the course."""
    return list(SCENARIOS)


def get(name: str) -> Scenario:
    """The scenario of this name.

    Raises:
        WiringError: there is none. The text names the nearest.
    """
    if name in SCENARIOS:
        return SCENARIOS[name]
    raise WiringError(f"there is no scenario {name!r}: {nearest(name, SCENARIOS)}")
