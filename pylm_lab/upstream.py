"""Upstream: which servers of a cluster feed which, by name, and when those that are fed are ready.

A server is started after those that feed it, and stopped after them.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from pylm_lab.errors import WiringError
from pylm_lab.parts.connections import SubConnection
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import PubService
from pylm_lab.subscribing import ECHO_SECONDS

__all__ = [
    "adopt",
    "connect",
    "downstream",
    "expect",
    "in_order",
    "publisher_of",
    "subscribers_of",
    "wait_for_echo",
]

#: Finds a server by its name, for somebody.
Find = Callable[[str, str], ServerTemplate]
_log = logging.getLogger("pylm_lab.cluster")


def publisher_of(server: ServerTemplate) -> PubService:
    """The part that publishes what the server gives.

    Raises:
        WiringError: it has none.
    """
    for part in server.outbound_components.values():
        if isinstance(part, PubService):
            return part
    raise WiringError(
        f"{server.id!r} publishes nothing: register_outbound(PubService, 'Pub', …) there"
    )


def subscribers_of(server: ServerTemplate) -> list[SubConnection]:
    """The parts of the server that name another one as their upstream."""
    parts = server.inbound_components.values()
    return [part for part in parts if isinstance(part, SubConnection) and part.upstream]


def adopt(server: ServerTemplate, servers: Iterable[ServerTemplate]) -> None:
    """Let `previous=` name one of these servers, where nothing else says who feeds a part."""
    names = {one.name for one in servers if one is not server}
    for part in server.inbound_components.values():
        if isinstance(part, SubConnection) and not (part.listen_address or part.upstream):
            part.upstream = part.previous if part.previous in names else ""


def _before(server: ServerTemplate, find: Find) -> list[ServerTemplate]:
    return [find(part.upstream, server.id) for part in subscribers_of(server)]


def in_order(servers: Iterable[ServerTemplate], find: Find) -> list[ServerTemplate]:
    """The servers, each after those that feed it, else in the order in which they are.

    Raises:
        WiringError: one that is named is not there, or they feed each other in a circle.
    """
    left = list(servers)
    done: list[ServerTemplate] = []
    while left:
        free = [s for s in left if all(one not in left for one in _before(s, find))]
        if not free:
            names = ", ".join(server.id for server in left)
            raise WiringError(f"{names} feed each other in a circle: one has to come first")
        left.remove(free[0])
        done.append(free[0])
    return done


def downstream(
    servers: Iterable[ServerTemplate], order: Iterable[ServerTemplate], find: Find
) -> list[ServerTemplate]:
    """These servers, and all to which their messages may go, out of those that are in order."""
    found = list(servers)
    for one in order:
        if one not in found and any(before in found for before in _before(one, find)):
            found.append(one)
    return found


def expect(servers: Iterable[ServerTemplate], find: Find) -> None:
    """Let each publisher know how many will subscribe to which topic."""
    counts: dict[PubService, Counter[str]] = {}
    for server in servers:
        for part in subscribers_of(server):
            pub = publisher_of(find(part.upstream, server.id))
            counts.setdefault(pub, Counter())[_topic(part, pub)] += 1
    for pub, topics in counts.items():
        pub.found = topics


def _topic(part: SubConnection, pub: PubService) -> str:
    return part.previous or pub.server_name


def connect(server: ServerTemplate, find: Find) -> None:
    """Tell the server's parts where those publish that they name, and under which topic.

    Raises:
        WiringError: what is published there is for clients only.
    """
    for part in subscribers_of(server):
        before = find(part.upstream, server.id)
        pub = publisher_of(before)
        topic = _topic(part, pub)
        told = part.previous not in ("", part.upstream)  # a topic, not the name of a server
        if not (told or pub.pipelined or pub.overrides("handle_stream")):
            raise WiringError(
                f"{server.id!r} would hear nothing: {before.id!r} publishes for its clients only. "
                "Make it with pipelined=True (Server, Master, Hub) or to_client=False (Pipeline, "
                "Sink)"
            )
        part.found = pub.listen_to.address, topic


def wait_for_echo(part: SubConnection, server: ServerTemplate) -> None:
    """Wait until the publisher knows the part, but not for ever; raise what has failed instead."""
    until = time.monotonic() + ECHO_SECONDS
    while part.gate is None and not part.is_ready.wait(0.05):
        if server.failure is not None:
            raise server.failure
        if time.monotonic() > until or not part.is_running:
            break
    if not part.is_ready.is_set():
        _log.debug("%s: the publisher does not tell when it is ready", part.id)
