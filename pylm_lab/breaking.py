"""Breaking: faults planted into a party, and healed."""

from __future__ import annotations

from pylm_lab import hook
from pylm_lab.breakage import Breakage, check
from pylm_lab.errors import RunError, WiringError
from pylm_lab.faults import Fault
from pylm_lab.hook import Decision
from pylm_lab.party import Party

__all__ = ["Breaking"]


class Breaking:
    """Lets faults act in a party, and tells the hooks that they do."""

    def __init__(self, party: Party) -> None:
        self._party = party

    def inject(self, fault: Fault, *, known: bool = False) -> None:
        """Let a fault act from now on; see `Cluster.inject`."""
        self._party.not_ended()
        if not isinstance(fault, Fault):
            raise WiringError(f"{fault!r} is no fault: make one with pylm_lab.faults")
        breakage, actors = self._breakage, self._party.actors()
        ports = [port for actor in actors for port in actor.ports]
        if not known:
            self._check(fault)
        if any(port.is_open and not port.is_watched for port in ports):
            raise RunError(
                "nobody records this run, so a fault can't tell its messages apart: give it when "
                "the cluster is made, Cluster(faults=[…]), or record=True"
            )
        if not self._party.run.hooks.active:
            self._party.run.hooks.add(_Listener())  # else messages have no id to tell them by
        breakage.is_on = True  # whoever joins now asks
        breakage.plant(fault, [port for one in self._party.actors() for port in one.ports])
        self._decide("inject", fault)

    def _check(self, fault: Fault) -> None:
        """Raise WiringError if it names nobody, or can't be; before the start, at the start."""
        party = self._party

        def look() -> None:
            if not party.begun and fault not in self._breakage.planted:
                return  # it has been healed
            there = party.actors() if party.begun else party.declared()
            check(fault, there, others=not party.begun)

        if party.begun:
            look()
        else:
            party.checks.append(look)

    def heal(self, fault: Fault) -> None:
        """Let a fault act no more; see `Cluster.heal`."""
        self._party.not_ended()
        self._breakage.heal(fault)
        self._decide("heal", fault)

    @property
    def faults(self) -> list[Fault]:
        """The faults that may still act."""
        return self._breakage.planted

    @property
    def _breakage(self) -> Breakage:
        assert self._party.run.breakage is not None
        return self._party.run.breakage

    def _decide(self, kind: str, fault: Fault) -> None:
        step = 0 if self._party.run.gate is None else self._party.run.gate.step
        self._party.decided(Decision(at=step, kind=kind, text=repr(fault)))


class _Listener(hook.Hook):
    """Hears hops, so that messages have an id, and keeps nothing."""

    def hop_dropped(self, port: hook.Port, frames: list[bytes], cause: str, at: int) -> None: ...
