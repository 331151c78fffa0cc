"""Exports: a trace in the formats of other people's tools."""

from pylm_lab.trace.exports.formats import FORMATS, Format, check, named, pieces, save, write

__all__ = ["FORMATS", "Format", "check", "named", "pieces", "save", "write"]
