"""Store: a trace as a file, and back.

1. JSON Lines: one JSON object a line, UTF-8 (written as pure ASCII), every line ended by one `\\n`
   on every platform. A name that ends in `.gz` is compressed with gzip, without a time stamp.
2. The same trace is the same bytes. Compressed ones agree as far as the zlib library does.
3. A file is complete or not there: it is written beside its place, then moved.
4. What is read is data: nothing in it is executed, and whatever is wrong with it is one
   `TraceFileError` that names the file, the line, the value and the mend.
5. Both ways go line by line.

Line 1, the header, has these fields:

=========  =========================================================================================
format     `"pylm_lab trace"`
version    `2`. A reader refuses a version that it doesn't know.
schedule   text: `free`, `stepped`, `seeded` or `replayed`
seed       an integer, or null
clock      what `at` counts: `"ns"` or `"step"`
scenario   the name of the ready-made cluster, or `""`
lines      how many lines follow; null in a journal
forgotten  how many events the recorder did not keep (0)
options    what the scenario was made with: an object of integers, sorted by name (`{}`)
cut        ids of actors whose record ends early, since their process died or was still running: a
           list (`[]`)
left_out   how many events of the trace are not in this part of it (0)
called     of a part with at most 100,000 messages the number of each in the whole, as long as the
           line has room for them: an object, from ids to numbers (`{}`)
=========  =========================================================================================

Then comes a line for each actor, each port, each row of a routing table, each event and each
decision, in this order and otherwise in the trace's own. Its first field, `is`, says which it is.
A field that is left out has its default, which is given here in brackets; a field that is not
listed is an error.

`"is": "actor"`

======  ============================================================================================
id      text, unique
label   text: what it calls itself
role    `inbound`, `outbound`, `bypass`, `router`, `worker`, `client` or `program`
kind    text: its class
server  text: the server that it is a part of (`""`)
serves  text: the server that it belongs to (`""`)
blocks  true if it expects its pair to answer (false)
======  ============================================================================================

`"is": "port"`

========  ==========================================================================================
id        text, unique
actor     id of its actor
socket    text: the ZeroMQ type
binds     true or false
outer     true or false
sends     `message`, `credit`, `request`, `answer`, `ready` or `""` (`""`)
receives  the same (`""`)
========  ==========================================================================================

`"is": "route"`

========  ==========================================================================================
server    text: the server whose table it is
number    its number, from 1
source    id of an actor
target    id of an actor
feedback  `""`, `waits` or `on` (`""`)
========  ==========================================================================================

`"is": "event"`

========  ==========================================================================================
at        step number or nanoseconds
what      `bind`, `connect`, `disconnect`, `subscribe`, `unsubscribe`, `seen`, `unseen`, `start`,
          `stop`, `fail`, `send`, `receive`, `drop` or `fault`
actor     id of the actor
port      id of one of its ports; there is one unless `what` is `start`, `stop` or `fail`, or is
          `fault` and the fault acts on the actor (`""`)
kind      what the frames are, with `send`, `receive` and `drop`, with a `fault` that acts on
          frames, and with nothing else (`""`): `message`, `credit`, `request`, `answer` or `ready`
message   text: the message's id (`""`)
parent    text: its parent's id (`""`)
clock     the Lamport clock in the message (0)
stage     the step of the pipeline (0)
function  text (`""`)
sizes     the bytes of each frame: a list of integers (empty)
excerpt   the beginning of the payload, as text (`""`)
peer      the routing id that a ROUTER port names, as text (`""`)
topic     a publication's first frame, as text (`""`)
text      an address, a topic, a cause or an error, after what the event is (`""`)
fault     what the fault does, with `fault` and with nothing else (`""`): `drop`, `delay`,
          `duplicate`, `reorder`, `corrupt`, `stop`, `crash` or `part`
========  ==========================================================================================

`"is": "decision"`

======  ============================================================================================
at      the step at which it was taken
kind    text: the operation that was chosen, or `inject` where a fault was planted
actor   text: whose turn it was (`""`)
port    text: the id of the port of the operation (`""`)
text    text: the fault that was planted (`""`)
======  ============================================================================================

Integers, the seed aside, are of at most 64 bits: `at` and `stage` of an event with their sign,
`clock` without, each of its `sizes` of 63. A line has at most 16 MiB.

A journal is a file that is written while the run goes on (`pylm_lab.trace.record.journal`). Its
lines come in any order, as long as what they name was declared before: the events of an actor in
its own order, those of different actors in none. Times are nanoseconds from about its first event.
It ends with this line, and nothing follows:

`"is": "end"`

=====  =============================================================================================
lines  how many lines lie between the header and this one
=====  =============================================================================================

A journal without it was cut off: all its actors count as `cut`, and a last line that has no end of
its own may be torn, and is left out. Whoever reads a journal gets its events in one order.

What changed:

- Version 2 has `cut` and journals. In version 1 `lines` is never null, and `at` and `stage` might
  be as large as 64 bits without a sign.
"""

from __future__ import annotations

import gzip
import os
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO

from pylm_lab.errors import OutputError, TraceFileError
from pylm_lab.trace.file.reading import Reading
from pylm_lab.trace.file.schema import Fault
from pylm_lab.trace.file.writing import lines
from pylm_lab.trace.trace import Trace

__all__ = ["in_place", "load", "save"]

_GZIP = b"\x1f\x8b"


# Writing


def save(trace: Trace, path: str | Path) -> Path:
    """Write the trace to the path, in place of a file that may be there. Returns the path.

    Raises:
        OutputError: it can't be written there. What was there is left as it was.
    """
    path = Path(path)
    with in_place(path) as file:
        for piece in lines(trace):
            file.write(piece)
    return path


@contextmanager
def in_place(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """A new file that takes the path's place once it is written whole; compressed, if it is so
    called.

    Raises:
        OutputError: it can't be written there. What was there is left as it was.
    """
    with _written_beside(path) as raw:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
                yield file
        else:
            yield raw


@contextmanager
def _written_beside(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the path's place once it is written whole."""
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is no file that could be replaced: choose another name")
    target = path.resolve() if path.is_symlink() else path
    beside = target.with_name(f".pylm_lab-{secrets.token_hex(8)}.part")
    try:
        try:
            with beside.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(
            f"{path} can't be written: {error.strerror or error}. Choose another place, or clear"
            " the way"
        ) from error


# Reading


def load(path: str | Path) -> Trace:
    """Read a trace that `save` wrote, compressed or not; or a journal.

    Raises:
        TraceFileError: the file can't be read, is no trace, of a newer version, or broken.
    """
    reading = Reading()
    try:
        with _opened(path) as raw:
            if raw.peek(2)[:2] == _GZIP:
                with gzip.GzipFile(fileobj=raw) as file:
                    reading.read(file)
            else:
                reading.read(raw)
        return reading.trace()
    except Fault as fault:
        where = f"{path}, line {reading.line}" if reading.line else str(path)
        raise TraceFileError(f"{where}: {fault}") from fault.__cause__
    except RecursionError:
        raise TraceFileError(
            f"{path}, line {reading.line}: it is nested too deeply. No trace is: was it damaged?"
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TraceFileError(
            f"{path}: after line {reading.line} the compressed data is cut off or damaged"
            f" ({error}). Copy the file again, or save the trace again"
        ) from error
    except OSError as error:
        raise TraceFileError(_unreadable(path, error)) from error


def _opened(path: str | Path) -> BufferedReader:
    try:
        return open(path, "rb")
    except ValueError as error:  # a name that no file can have
        raise TraceFileError(_unreadable(path, error)) from error


def _unreadable(path: str | Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or error
    return f"{path} can't be read: {reason}. Give the name of a file that Trace.save wrote"
