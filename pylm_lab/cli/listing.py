"""The catalog of parts as text, as a Markdown table and as JSON."""

from __future__ import annotations

import dataclasses
import json

from pylm_lab.parts.classified import catalog

__all__ = ["FORMATS", "listing"]

FORMATS = ("text", "markdown", "json")


def listing(format: str) -> str:
    """Every class of parts in one of the `FORMATS`, without the last line's end."""
    parts = catalog()
    if format == "json":
        return json.dumps([dataclasses.asdict(part) for part in parts], indent=2)
    return parts.markdown() if format == "markdown" else repr(parts)
