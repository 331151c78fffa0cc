"""Recording: a process that its environment tells to record itself.

1. `PYLM_LAB_TRACE=DIR` is read once, when the package is imported: whatever runs from then on is
   recorded into files of DIR, and neither a script nor a part of it has to know.
2. A file is written as the run goes on, so that a process which is killed leaves what it did. A
   cluster has a file of its own; all else in a process shares one.
3. A record never disturbs its run: what can't be written is told once, in the log.
"""

from __future__ import annotations

import atexit
import logging
import os
import re
import secrets
import sys
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pylm_lab.errors import OutputError
from pylm_lab.hook import Hook
from pylm_lab.witness import install

if TYPE_CHECKING:
    from pylm_lab.trace.record.journal import Journal

__all__ = ["VARIABLE", "begin"]

#: The environment variable that names the folder.
VARIABLE = "PYLM_LAB_TRACE"
#: Characters of a script's name that are a part of its file's.
STEM = 40
_log = logging.getLogger("pylm_lab.recording")


def begin(folder: str | Path = "") -> None:
    """Record whatever begins to run in this process into files of the folder, or of the variable's.

    Nothing happens where neither names one.
    """
    named = folder or os.environ.get(VARIABLE)
    if named:
        install(_Recording(Path(named).absolute()))


class _Recording:
    """Makes a journal for each run, and closes those that are open when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: Each journal, and the process that it is of: a forked child has its parent's as well.
        self._journals: weakref.WeakKeyDictionary[Journal, int] = weakref.WeakKeyDictionary()
        self._has_told = False
        # Now, so that it comes after the end of what is made later: a cluster is ended as well.
        atexit.register(self._end)

    def __call__(self, **about: Any) -> Hook:
        """A hook that writes down a run of which this is known."""
        # Not before something runs: who only imports the package waits for no numpy.
        from pylm_lab.trace.record.journal import Journal

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            journal = Journal(self._folder / _name(), **about)
        except (OSError, OutputError) as error:
            if not self._has_told:
                self._has_told = True
                _log.warning(
                    "%s=%s: nothing is recorded, since no file can be written there (%s). Name a "
                    "folder that can be written to",
                    VARIABLE,
                    self._folder,
                    getattr(error, "strerror", None) or error,
                )
            return Hook()
        self._journals[journal] = os.getpid()
        # Python 3.11 ends a forked child of multiprocessing without what atexit was told.
        # Others end later than all that it ends.
        if (made := sys.modules.get("multiprocessing")) and made.parent_process() is not None:
            sys.modules["multiprocessing.util"].Finalize(None, self._end, exitpriority=_LAST)
        return journal

    def _end(self) -> None:
        for journal, process in list(self._journals.items()):
            if process == os.getpid():
                journal.close()


#: Of all that multiprocessing ends, this comes last.
_LAST = -1000


def _name() -> str:
    """A file's name that no other process and no other run has: it tells the script."""
    script = sys.argv[0] if sys.argv else ""
    stem = "" if script in ("-c", "-m", "-") else Path(script).stem
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem)[:STEM].strip(".-")
    return f"{stem or 'python'}-{secrets.token_hex(5)}.jsonl"
