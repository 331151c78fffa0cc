"""A run as a self-contained document to be stepped through: `play` makes one."""

from pylm_lab.draw.player.document import Player, play

__all__ = ["Player", "play"]
