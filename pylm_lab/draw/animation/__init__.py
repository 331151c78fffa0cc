"""A run as a GIF: `animate` makes one."""

from pylm_lab.draw.animation.film import Animation, animate

__all__ = ["Animation", "animate"]
