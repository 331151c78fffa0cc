"""A key-value store in memory: a server's cache."""

from __future__ import annotations

import threading

from pylm_lab.errors import PayloadError

__all__ = ["DictDB"]


class DictDB:
    """A dictionary from text keys to bytes, safe to use from several threads.

    An empty value is a value: only an absent key gives None.
    """

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """The value of the key, or None if it is absent."""
        with self._lock:
            return self._values.get(key)

    def set(self, key: str, value: bytes) -> str:
        """Store the value; returns the key.

        Raises:
            PayloadError: the value is not bytes.
        """
        if not isinstance(value, bytes):
            raise PayloadError(f"the value for {key!r} is {type(value).__name__}, not bytes")
        with self._lock:
            self._values[key] = value
        return key

    def delete(self, key: str) -> str | None:
        """Forget the key; returns it, or None if it was absent."""
        with self._lock:
            return key if self._values.pop(key, None) is not None else None

    def clean(self, prefix: str) -> None:
        """Forget every key that begins with the prefix."""
        with self._lock:
            for key in [key for key in self._values if key.startswith(prefix)]:
                del self._values[key]

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._values
