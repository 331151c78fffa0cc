"""URLs: where an HTTP part listens, and where a web server is."""

from __future__ import annotations

from urllib.parse import urlsplit

from pylm_lab.errors import WiringError

__all__ = ["LOOPBACK", "place", "url", "where"]

#: Where an HTTP part listens that was given no hostname: this machine alone can reach it.
LOOPBACK = "127.0.0.1"

_USUAL = {"http": 80, "https": 443}


def url(host: str, port: int, scheme: str = "http") -> str:
    """The URL of what listens there."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def where(hostname: str, port: object) -> str:
    """The URL at which a part is to listen.

    Raises:
        WiringError: the port is no number of one, or the hostname no text.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise WiringError(f"port={port!r}: a number from 1 to 65535, or 0 for a free one")
    if not isinstance(hostname, str) or "/" in hostname:
        raise WiringError(f"hostname={hostname!r}: a name or an address of this machine, no URL")
    return url(hostname or LOOPBACK, port)


def place(address: str) -> str:
    """Where the server of a URL is: `http://host:port`.

    Raises:
        WiringError: it is no URL of a web server.
    """
    try:
        parts = urlsplit(address)
        usual = _USUAL[parts.scheme]
        number = parts.port or usual
        if not parts.hostname or parts.username is not None:
            raise ValueError
    except (ValueError, KeyError):
        raise WiringError(
            f"{address!r} is no URL of a web server: it looks like http://127.0.0.1:8888"
        ) from None
    return url(parts.hostname, number, parts.scheme)
