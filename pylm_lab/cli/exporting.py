"""`pylm-lab export TRACE`: a trace in the format of another tool."""

from __future__ import annotations

import argparse
import io
import sys
from typing import Any

from pylm_lab.errors import LabError
from pylm_lab.output import claim_file
from pylm_lab.trace import Trace, exports

__all__ = ["export", "formats"]


def formats() -> str:
    """Every format by name, with what opens it."""
    return "; ".join(f"{name}: {each.opens}" for name, each in exports.FORMATS.items())


def export(asked: argparse.Namespace) -> int:
    """`pylm-lab export TRACE --to FORMAT`."""
    options: dict[str, Any] = {}
    if asked.limit is not None:
        options["limit"] = asked.limit
    if asked.credits:
        options["credits"] = True
    # Before a long trace is read for nothing.
    exports.check(asked.to, **options)
    if asked.out is None and asked.force:
        raise LabError("--force replaces a file: say with -o FILE which one")
    if asked.out is not None:
        claim_file(asked.out, force=asked.force)
    trace = Trace.load(asked.file)
    if asked.out is None:
        told = exports.pieces(trace, asked.to, **options)
        sys.stdout.flush()
        if isinstance(sys.stdout, io.TextIOWrapper):
            # As bytes: no console changes the ends of lines.
            exports.write(told, sys.stdout.buffer)
        else:
            sys.stdout.writelines(told)
        return 0
    trace.export(asked.to, asked.out, **options)
    hops = len(trace.hops)
    many = "1 hop" if hops == 1 else f"{hops:,} hops"
    print(f"{asked.out}: {many}, for {exports.named(asked.to).opens}")
    return 0
