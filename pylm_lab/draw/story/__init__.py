"""A trace told step by step, as plain data: `tell` tells it."""

from pylm_lab.draw.story.evidence import names
from pylm_lab.draw.story.piles import Pile
from pylm_lab.draw.story.step import HeldBack, Step
from pylm_lab.draw.story.telling import EVERY, first_server, tell

__all__ = ["EVERY", "HeldBack", "Pile", "Step", "first_server", "names", "tell"]
