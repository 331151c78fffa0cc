"""Servers and workers, ready to use."""

from pylm_lab.servers.masters import Master
from pylm_lab.servers.workers import CacheUser, Worker

__all__ = ["CacheUser", "Master", "Worker"]
