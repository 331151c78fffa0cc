"""Exported: what a trace can be turned into for other people's tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

if TYPE_CHECKING:
    from pylm_lab.trace.trace import Trace

__all__ = ["Exported"]


class Exported:
    """A trace, as far as it can be turned into something else."""

    @property
    def _trace(self) -> Trace:
        return cast("Trace", self)

    @overload
    def export(self, to: str, path: None = None, **options: Any) -> str: ...
    @overload
    def export(self, to: str, path: str | Path, **options: Any) -> Path: ...
    def export(self, to: str, path: str | Path | None = None, **options: Any) -> str | Path:
        """The trace for another tool: written to the path, which is returned; without one, as text.

        `to` is `shiviz`, `chrome` (Perfetto), `otlp` (OpenTelemetry), `mermaid` or `csv`. What each
        shows, and how, is said in the module of that name in `pylm_lab.trace.exports`. A file is
        compressed if its name ends in `.gz`. Mermaid has options: `limit`, how many hops are drawn
        (200; None: all), and `credits=True`, to draw acknowledgements too.

        Raises:
            LabError: there is no such format or option.
            OutputError: the file can't be written.
        """
        from pylm_lab.trace import exports  # many modules, which few need

        if path is None:
            return "".join(exports.pieces(self._trace, to, **options))
        return exports.save(self._trace, to, path, **options)

    def to_records(self) -> list[dict[str, Any]]:
        """A dict for each hop, of plain values; `pylm_lab.trace.exports.rows` tells its keys."""
        from pylm_lab.trace.exports import rows  # as above

        return rows.records(self._trace)

    def to_pandas(self) -> Any:
        """A pandas.DataFrame with a row for each hop, its columns those of `to_records`.

        Raises:
            LabError: pandas is not installed.
        """
        from pylm_lab.trace.exports import rows  # as above

        return rows.frame(self._trace)
