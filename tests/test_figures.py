"""The figures in figures/ are what the code draws."""

from __future__ import annotations

from pathlib import Path

from pylm_lab import figures


def test_no_figure_has_drifted(root: Path) -> None:
    assert figures.compare(root / "figures") == []


def test_drift_is_named(tmp_path: Path, root: Path) -> None:
    for name in figures.names():
        (tmp_path / name).write_bytes((root / "figures" / name).read_bytes())
    (tmp_path / "router-light.svg").write_bytes(b"<svg/>")
    (tmp_path / "flow.gif").unlink()
    (tmp_path / "holiday.png").write_bytes(b"")
    assert figures.compare(tmp_path) == [
        f"{tmp_path / 'router-light.svg'} is not what the code draws now",
        f"{tmp_path / 'flow.gif'} is missing",
        f"{tmp_path / 'holiday.png'} is made by nobody",
    ]
