"""Where servers keep what they are told to remember."""

from pylm_lab.persistence.kv import DictDB

__all__ = ["DictDB"]
