"""Pictures as matplotlib figures: `draw` makes one, `Picture` is what it makes."""

from pylm_lab.draw.figure.drawing import draw
from pylm_lab.draw.figure.picture import Picture

__all__ = ["Picture", "draw"]
