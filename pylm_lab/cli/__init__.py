"""The command `pylm-lab`: `command` reads what was asked for, the other modules do it."""

from pylm_lab.cli.command import main

__all__ = ["main"]
