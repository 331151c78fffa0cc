"""A master, a worker and a client over tcp, each in a process of its own.

1. Who measures starts this module three times: `python -m pylm_lab.bench.processes ROLE …`.
2. A process says one line when it is ready, or done, and ends when its standard input does: so it
   also ends with whoever started it, however that ended.
3. Ctrl-C is for the one that measures; it ends the others.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from pylm_lab.actor import DEADLINE
from pylm_lab.bench.chain import joined
from pylm_lab.bench.job import Job
from pylm_lab.clients import Client
from pylm_lab.errors import RunError
from pylm_lab.servers import Master, Worker

__all__ = ["answers"]

#: Seconds that a client waits for an answer.
_TIMEOUT = 20


def answers(job: Job, *, lockstep: bool) -> float:
    """Answers a second of a job of so many messages; the client has checked each.

    Raises:
        RunError: an answer is wrong or missing, or a process has ended too early.
    """
    with _started("master", "lockstep" if lockstep else "default") as master:
        address = _line(job, master, "master")
        with (
            _started("worker", address) as worker,
            _started("client", address, str(job.count)) as client,
        ):
            _line(job, worker, "worker")
            return job.count / float(_line(job, client, "client"))


Process = tuple["subprocess.Popen[str]", IO[str]]


@contextmanager
def _started(role: str, *arguments: str) -> Iterator[Process]:
    """A process of this role, and what it complains of; it ends with the block."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "pylm_lab.bench.processes", role, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            encoding="utf-8",
            # The terminal's Ctrl-C goes to everybody in the group.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        assert process.stdin is not None
        assert process.stdout is not None
        ended = False
        try:
            yield process, complaints
            process.stdin.close()
            process.wait(3 * DEADLINE)
            ended = True
        finally:
            if not ended:
                process.kill()
                process.wait()
            process.stdin.close()
            process.stdout.close()


def _line(job: Job, process: Process, role: str) -> str:
    """The next line that the process says."""
    running, complaints = process
    assert running.stdout is not None
    said: list[str] = []
    reader = threading.Thread(
        target=lambda out=running.stdout: said.append(out.readline()), name="bench.reader"
    )
    reader.start()
    try:
        job.wait_for(joined(reader), job.patience, f"the {role} in its process has said nothing")
    except BaseException:
        running.kill()  # then there is nothing more to read
        reader.join()
        raise
    if not said[0].strip():
        running.wait(DEADLINE)
        complaints.seek(0)
        last = complaints.read().strip().rpartition("\n")[2]
        raise RunError(f"the {role} in its process has ended too early: {last or 'nobody knows'}")
    return said[0].strip()


# In the processes


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _master(discipline: str) -> None:
    master = Master("server", log_level=logging.WARNING, lockstep=discipline == "lockstep")
    with master:
        _say(master.bypass_components["Cache"].listen_to.address)
        sys.stdin.read()


def _worker(address: str) -> None:
    with Worker("worker", address, log_level=logging.WARNING) as worker:
        Job(0).wait_for(worker.is_ready.wait, _TIMEOUT, f"{worker.id} was not ready")
        _say("ready")
        sys.stdin.read()


def _client(address: str, count: int) -> None:
    client = Client("server", address, timeout=_TIMEOUT)
    try:
        client.eval("server.echo", b"is anybody there")
        payloads = [b"%032d" % number for number in range(count)]
        begun = time.perf_counter()
        found = list(client.job("server.echo", payloads, messages=count))
        spent = time.perf_counter() - begun
    finally:
        client.close()
    if found != payloads:
        raise RunError(f"the {len(found)} answers of the job are not its {count} messages in order")
    _say(repr(spent))


def main(arguments: Sequence[str]) -> None:
    """Be a master, a worker or a client."""
    role, *rest = arguments
    if role == "master":
        _master(rest[0])
    elif role == "worker":
        _worker(rest[0])
    else:
        _client(rest[0], int(rest[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
