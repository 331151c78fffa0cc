"""Exercise: sort the parts by the four questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pylm_lab.arguments import nearest
from pylm_lab.course.verdict import Verdict
from pylm_lab.errors import LabError
from pylm_lab.parts import catalog
from pylm_lab.parts.classified import Classified

__all__ = ["ASKED", "check"]

ASKED = (
    "Say of each part whether it is a service or a connection, standard or bypass, inbound or "
    "outbound, and blocking or not."
)

#: The four questions: what may be answered, and what to look at for whoever is wrong.
QUESTIONS = (
    (("service", "connection"), "who binds, and who comes to it?"),
    (("standard", "bypass"), "does it have a wire to the router?"),
    (("inbound", "outbound"), "which way does the first message go, as the router sees it?"),
    (("blocking", "not blocking"), "is something sent back that one of the two ends waits for?"),
)
#: Parts that a verdict looks at closely; the others are only counted.
SHOWN = 3


def check(answer: Any) -> Verdict:
    """Compare what was sorted by hand with what the classes say of themselves."""
    mine = answer() if callable(answer) else answer
    if not isinstance(mine, Mapping) or not mine:
        raise LabError(
            f"the exercise 'parts' asks for a dict, not for {mine!r}: "
            "{'PullService': 'service, standard, inbound, not blocking', …}"
        )
    known = {one.name: one for one in catalog()}
    wrong = []
    for name, words in mine.items():
        if name not in known:
            raise LabError(f"there is no part {name!r}: {nearest(str(name), known)}")
        found = _wrong(known[name], words)
        if found:
            wrong.append(f"{name}: {found}")
    right = len(mine) - len(wrong)
    if not wrong:
        said = "The part says" if right == 1 else f"All {right} parts say"
        return Verdict(
            exercise="parts", passed=True, sentences=(f"{said} the same of themselves.",)
        )
    more = len(wrong) - SHOWN
    return Verdict(
        exercise="parts",
        passed=False,
        sentences=(
            *wrong[:SHOWN],
            *([f"{more} more to look at again."] if more > 0 else []),
            f"{right} of {len(mine)} are right.",
        ),
    )


def _wrong(part: Classified, words: object) -> str:
    """What to look at again; empty where all is right."""
    said = words.split(",") if isinstance(words, str) else words
    if not isinstance(said, list | tuple) or len(said) != len(QUESTIONS):
        return f"there are {len(QUESTIONS)} questions, and {words!r} answers another number"
    for word, truth, (choices, hint) in zip(said, part.words, QUESTIONS, strict=True):
        word = str(word).strip()
        if word not in choices:
            return f"{word!r} is neither {choices[0]!r} nor {choices[1]!r}"
        if truth and word != truth:
            return f"look again at {word!r}: {hint}"
    return ""
