"""Exercises: what is asked, and the check that runs the answer."""

from pylm_lab.course.exercises import check, exercises
from pylm_lab.course.verdict import Verdict

__all__ = ["Verdict", "check", "exercises"]
