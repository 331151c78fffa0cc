"""The exercises of the course, by name.

1. An answer is judged by running it: the student's own server in a cluster, or own function over
   runs, under several seeds.
2. A verdict says in words what is wrong and shows where the messages went. It never shows the
   solution.
3. The same answer gets the same verdict.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, NamedTuple

from pylm_lab.course import master, parts, trace
from pylm_lab.course.verdict import Verdict
from pylm_lab.errors import LabError

__all__ = ["check", "exercises"]


class _Exercise(NamedTuple):
    asked: str
    check: Callable[[Any], Verdict]


_EXERCISES = {
    "master": _Exercise(master.ASKED, master.check),
    "parts": _Exercise(parts.ASKED, parts.check),
    "trace": _Exercise(trace.ASKED, trace.check),
}


def exercises() -> dict[str, str]:
    """What there is to solve: name → what is asked."""
    return {name: exercise.asked for name, exercise in _EXERCISES.items()}


def check(exercise: str, answer: Any) -> Verdict:
    """Run the answer to an exercise and say what is wrong with it, if anything.

    Args:
        exercise: its name, such as `master`.
        answer: what the exercise asks for, such as a server; or a function that makes it.

    Returns:
        A verdict: true if the answer is right. In a notebook it shows itself.

    Raises:
        LabError: there is no such exercise, or the answer is of another kind than is asked for.
    """
    if exercise not in _EXERCISES:
        near = difflib.get_close_matches(str(exercise), _EXERCISES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_EXERCISES)}"
        raise LabError(f"there is no exercise {exercise!r}: {hint}")
    return _EXERCISES[exercise].check(answer)
