"""A trace told step by step, as plain data: `tell` tells it."""

from pylm_lab.draw.story.evidence import names
from pylm_lab.draw.story.telling import EVERY, Pile, Step, first_server, tell

__all__ = ["EVERY", "Pile", "Step", "first_server", "names", "tell"]
