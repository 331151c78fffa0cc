"""The wait-for view: who waits for whom, the circle first."""

from pylm_lab.draw.waits.page import waits_scene

__all__ = ["waits_scene"]
