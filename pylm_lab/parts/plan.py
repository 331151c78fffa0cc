"""What a server is made of: the router, the parts that are registered at it, and who knows them.

1. `register_…` only declares; what can be found wrong now is said now.
2. The routing table, the names and the addresses are settled before anything is opened.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any, Literal, Self, TypeVar

import zmq

from pylm_lab import hook
from pylm_lab.actor import Actor, Run
from pylm_lab.clock import Clock, steady
from pylm_lab.errors import PayloadError, RunError, WiringError
from pylm_lab.parts.core import Inbound, Outbound, Part
from pylm_lab.parts.routing import WINDOW, Router, zmq_context
from pylm_lab.persistence.kv import DictDB
from pylm_lab.port import Port

__all__ = ["Plan"]

#: Where a service binds that was given no address: a free tcp port of this machine.
FREE = "tcp://127.0.0.1:*"

P = TypeVar("P", bound=Part)


class Plan:
    """A router, and the parts that are registered at it, before they run.

    Args:
        logging_level: of the server's logger.
        router_messages: end after that many messages from inbound parts.
        name: the server's name, and the beginning of its parts' ids in a trace.
        window: how many messages an inbound part may have unacknowledged.
        lockstep: one message in the whole router.
        hold: what a blocking outbound part holds; see `Router`.
        context: a ZeroMQ context; the default is `parts.core.zmq_context`.
    """

    def __init__(
        self,
        logging_level: int = logging.INFO,
        router_messages: int = sys.maxsize,
        *,
        name: str = "",
        window: int = WINDOW,
        lockstep: bool = False,
        hold: Literal["server", "part"] = "server",
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        if not hasattr(self, "name"):  # a subclass may have set it before
            self.name = name or "server"
        if not hasattr(self, "cache"):
            self.cache = DictDB()
        self.id = self.name
        self.logger = logging.getLogger(f"pylm_lab.{self.name}")
        self.logger.setLevel(logging_level)
        self.context = context or zmq_context
        self.shared = Run(context=self.context)
        self.router = Router(
            logger=self.logger,
            cache=self.cache,
            messages=router_messages,
            window=window,
            lockstep=lockstep,
            hold=hold,
            context=self.context,
        )
        self.inbound_components: dict[str, Inbound] = {}
        self.outbound_components: dict[str, Outbound] = {}
        self.bypass_components: dict[str, Part] = {}
        self._was_opened = False
        self._preset: set[str] = set()
        #: The hooks that belong to the run, not to the server.
        self._guests: tuple[hook.Hook, ...] = ()

    # Declaring it

    def register_inbound(
        self,
        part: type[Inbound],
        name: str = "",
        listen_address: str = "",
        route: str = "",
        block: bool = False,
        log: str = "",
        **kwargs: Any,
    ) -> None:
        """Add an inbound part of this class, whose messages go to the outbound part `route`.

        With `block` it gets the outbound part's feedback instead of an acknowledgement. Whatever
        else is given goes to the part.
        """
        made = self._make(part, Inbound, name, listen_address, kwargs)
        self.router.register_inbound(made.name, route, block, log)
        self.inbound_components[made.name] = made

    def register_outbound(
        self,
        part: type[Outbound],
        name: str = "",
        listen_address: str = "",
        route: str = "",
        log: str = "",
        **kwargs: Any,
    ) -> None:
        """Add an outbound part of this class; its feedback goes on to the outbound part `route`."""
        made = self._make(part, Outbound, name, listen_address, kwargs)
        self.router.register_outbound(made.name, route, log, blocks=made.blocks)
        self.outbound_components[made.name] = made

    def register_bypass(
        self, part: type[Part], name: str = "", listen_address: str = "", **kwargs: Any
    ) -> None:
        """Add a part that has no wire to the router."""
        made = self._make(part, Part, name, listen_address, kwargs)
        if isinstance(made, Inbound | Outbound):
            raise WiringError(
                f"{part.__name__} is no bypass part: it has a wire to the router, so register it "
                f"with register_{made.role}"
            )
        if made.name in self.parts_by_name:
            raise WiringError(f"two parts are called {made.name!r}: give one another name")
        self.bypass_components[made.name] = made

    def _make(
        self,
        part: type[P],
        base: type[Part],
        name: str,
        address: str,
        more: dict[str, Any],
    ) -> P:
        if self._was_opened:
            raise RunError(
                f"{self.id} has been started: register {name or part.__name__} before its first "
                "start"
            )
        if not (isinstance(part, type) and issubclass(part, base)):
            raise WiringError(
                f"{getattr(part, '__name__', part)!r} is no {base.__name__} class: register the "
                "class of a part with the method that is named after its direction"
            )
        name = name or part.__name__
        if name in self.parts_by_name or name == self.router.name:
            raise WiringError(f"two parts are called {name!r}: give one another name")
        shared = {"logger": self.logger, "cache": self.cache, "context": self.context}
        if part.placed_by == ("listen_address",):
            return part(name, address, **{**shared, **more})
        if address and not part.placed_by:
            raise WiringError(f"{part.__name__} takes no listen_address={address!r}: see its own")
        places = dict.fromkeys(part.placed_by, "")
        if address:
            places[part.placed_by[0]] = address
        return part(name, **{**places, **shared, **more})

    def preset_cache(self, **values: str | bytes) -> None:
        """Store these values in the cache; text as UTF-8."""
        for key, value in values.items():
            if not isinstance(value, str | bytes):
                kind = type(value).__name__
                raise PayloadError(f"the value for {key!r} is {kind}, not text or bytes")
            self.cache.set(key, value.encode() if isinstance(value, str) else value)
            self._preset.add(key)

    @property
    def parts_by_name(self) -> dict[str, Part]:
        """Every part, in the order of inbound, outbound, bypass, each as registered."""
        return {**self.inbound_components, **self.outbound_components, **self.bypass_components}

    @property
    def actors(self) -> list[Actor]:
        """The router and every part."""
        return [self.router, *self.parts_by_name.values()]

    def attach(self, hook: hook.Hook) -> Self:
        """Let the hook hear everything in this server, from its start on. Returns the server.

        Raises:
            RunError: it has been started.
        """
        if self._was_opened:
            raise RunError(f"{self.id} has been started: attach hooks before its first start")
        self.shared.hooks.add(hook)
        return self

    def enter(self, run: Run) -> None:
        """Take part in a run: hear its hooks, wait at its gate, use its context."""
        self.router.not_running()
        self.context = self.shared.context = run.context or self.context
        self.shared.gate, self.shared.seed = run.gate, run.seed
        self.shared.transport = run.transport
        self.shared.places, self.shared.breakage = run.places, run.breakage
        self.shared.waiting = run.waiting
        self.logger = steady(self.logger, run.gate)
        self._guests = self.shared.hooks.exchange(self._guests, run.hooks)
        for actor in self.actors:
            actor.context = self.context

    @property
    def clock(self) -> Clock:
        """The clock of its run, for functions of its user's that one of its parts calls."""
        here = threading.current_thread()
        return Clock(next((actor for actor in self.actors if actor.thread is here), self.router))

    def declare(self, hooks: hook.Hook) -> None:
        """Tell the hook what is wired here, without starting anything.

        Raises:
            WiringError: a route names no outbound part.
        """
        self.name_actors()
        self.router.table.check()
        for actor in self.actors:
            actor.declare(hooks)

    def name_actors(self) -> None:
        """Give its actors their ids and addresses."""
        for actor in self.actors:
            actor.id = f"{self.id}.{actor.name}"
            actor.server = self.id
            # One server in a context of its own has plain addresses; in a shared one, its own.
            if actor.context is zmq_context:
                place = f"inproc://{self.id}.{id(self):x}"
            else:
                place = f"inproc://{self.id}"
            if isinstance(actor, Router):
                actor.inbound.address = actor.inbound_address = f"{place}.inbound"
                actor.outbound.address = actor.outbound_address = f"{place}.outbound"
                actor.part_ids = {name: f"{self.id}.{name}" for name in self.parts_by_name}
            else:
                assert isinstance(actor, Part)
                parts = self.parts_by_name.values()
                actor.meet([part for part in parts if part.beside == actor.name])
                for port, told in actor.outside():
                    port.address = told or (
                        self._fresh(port) if port.binds else self._beside(actor)
                    )
                    if not (port.address or actor.upstream):
                        raise WiringError(actor.nowhere)
            if isinstance(actor, Inbound):
                actor.broker.address = actor.broker_address = f"{place}.inbound"
            if isinstance(actor, Outbound):
                actor.broker.address = actor.broker_address = f"{place}.outbound"

    def _beside(self, part: Part) -> str:
        """Where the part in here is that a part without an address connects to; or nothing."""
        other = self.parts_by_name.get(part.beside)
        return other.place if other is not None else ""

    def _fresh(self, port: Port) -> str:
        """Where a service binds that was given no address."""
        if self.shared.transport != "inproc":
            return FREE
        part = port.owner.id
        return f"inproc://{part}" if port.name == "listen_to" else f"inproc://{part}.{port.name}"

    def _agree(self) -> None:
        """Let both ends of each inner link know the window, and how acknowledgements travel."""
        router = self.router
        router.table.check()
        router.inbound.frames = router.outbound.frames = 3
        quarter = max(1, router.window // 4)
        # Whose messages are answered one by one: it blocks, looks at each acknowledgement, or runs
        # as its user likes.
        singly = set()
        for name, inbound in self.inbound_components.items():
            entry = router.table.inbound[name.encode()]
            own = inbound.overrides("run")
            asked = any(part.beside == name for part in self.parts_by_name.values())
            if asked and entry.target is None:
                raise WiringError(
                    f"{inbound.id} hands what it is asked to nobody: say route=, the name of an "
                    "outbound part, where you register it"
                )
            each = entry.blocks or own or inbound.overrides("handle_feedback")
            if each:
                singly.add(entry.target)
            entry.quantum = 1 if each else quarter
            inbound.window = 1 if entry.blocks or own else router.window
            inbound.counted = not entry.blocks and not own
            inbound.broker.frames = 2
        for name, outbound in self.outbound_components.items():
            entry = router.table.outbound[name.encode()]
            own = outbound.overrides("run")
            if outbound.beside and not any(e.target is entry for e in router.table.entries()):
                raise WiringError(
                    f"{outbound.id} gets nothing to hand back: say route={name!r} at the part "
                    "that the answers come from"
                )
            each = bool(outbound.blocks or own or entry.route or entry in singly)
            entry.quantum = outbound.quantum = 1 if each else quarter
            outbound.broker.frames = 2

    def _trust(self) -> None:
        """Find out at which ports every message has a stamp; all of them are open."""
        heard = all(
            part.listen_to.is_marking and part.broker.is_watched
            for part in self.inbound_components.values()
        )
        for name, outbound in self.outbound_components.items():
            # Feedback that is handed on to a part may be anything.
            fed = any(e.route == name for e in self.router.table.outbound.values())
            outbound.broker.fed = fed
            outbound.broker.ours = heard and not fed
