"""Servers and workers, ready to use."""

from pylm_lab.servers.masters import Hub, Master
from pylm_lab.servers.single import Pipeline, Server, Sink
from pylm_lab.servers.workers import CacheUser, MuxWorker, Worker

__all__ = ["CacheUser", "Hub", "Master", "MuxWorker", "Pipeline", "Server", "Sink", "Worker"]
