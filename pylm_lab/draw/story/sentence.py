"""Sentences: a hop or a fault in words.

One sentence a hop, in the present tense, the actor first, naming what decided. It rests on the
evidence alone: a reason that is not there is not given.
"""

from __future__ import annotations

from pylm_lab.draw.story.evidence import Evidence, FaultSeen

__all__ = ["fault_title", "tell", "tell_fault", "title"]

#: What a fault does to a message before its receiver; and to an actor.
_BEFORE = {
    "delay": "held back before",
    "reorder": "held back before",
    "duplicate": "doubled before",
    "corrupt": "changed on its way to",
}
_ITSELF = {"stop": "is stopped", "crash": "crashes", "part": "is cut off"}


def title(number: str, seen: Evidence) -> str:
    """A few words for a list: `3: Pull → router`."""
    unknown = f"web {seen.unrecorded}" if seen.unrecorded else "?"
    source = seen.source.removeprefix("the ") or unknown
    target = "lost" if seen.lost else seen.target.removeprefix("the ") or unknown
    return f"{number}: {source} → {target}" if number else f"{source} → {target}"


def tell(seen: Evidence) -> str:
    """The sentence of a hop; a second one where something follows from it."""
    if seen.lost:
        text = _lost(seen)
    elif seen.again:
        text = f"{seen.target} takes {seen.message} once more: {seen.again}."
    elif seen.unrecorded:
        text = _unrecorded(seen)
    elif not seen.source:
        text = f"{seen.target} takes {seen.message}; the record does not show who sent it."
    elif seen.kind == "message" and not seen.target and seen.socket not in ("PUB", "XPUB"):
        text = _unseen(seen)
    else:
        text = _TELL[seen.kind](seen)
    if seen.given_up:
        text += f" {_capital(seen.target, seen)} gives it up{_because(seen)}."
    elif not seen.arrives and not seen.lost and seen.target:
        text += " It has not arrived when the record ends."
    return _capital(text, seen)


def fault_title(number: str, seen: FaultSeen) -> str:
    """A few words for a list: `3: held back before worker1`, `worker1 crashes`."""
    words = f"{_does(seen)} {seen.actor}" if seen.message else f"{seen.actor} {_does(seen)}"
    return f"{number}: {words}" if number else words


def tell_fault(seen: FaultSeen) -> str:
    """The sentence of a fault that is no loss."""
    because = f": {seen.cause.rstrip('.')}" if seen.cause else "; the record does not say why"
    if not seen.message:
        if seen.actor in seen.cause:
            # A clause that names the actor says it all.
            return f"{seen.cause[:1].upper()}{seen.cause[1:].rstrip('.')}."
        return f"{seen.actor} {_does(seen)}{because}."
    text = f"{seen.message} is {_does(seen)} {seen.actor}{because}."
    return text[:1].upper() + text[1:]


def _does(seen: FaultSeen) -> str:
    return (_BEFORE if seen.message else _ITSELF).get(seen.fault, "struck by a fault before")


def _lost(seen: Evidence) -> str:
    if seen.source and seen.other_end:
        where = f"between {seen.source} and {seen.other_end}"
    elif seen.source:
        where = f"on its way from {seen.source}"
    else:
        where = f"at {seen.target}; the record does not show who sent it"
    return f"{seen.message} is lost {where}{_because(seen)}."


def _unrecorded(seen: Evidence) -> str:
    """A hop between an HTTP port and somebody of whom the record knows nothing else."""
    who = f"a web {seen.unrecorded}"
    if seen.kind == "answer":
        return f"{seen.source or who} answers {seen.target or who}."
    if seen.source:
        return f"{seen.source} gives {seen.message} to {who} over HTTP.{_waits(seen, who)}"
    return f"{seen.target} takes {seen.message} from {who} over HTTP."


def _waits(seen: Evidence, whom: str) -> str:
    if not seen.waits:
        return ""
    whole = "The whole server waits: " if seen.waits == "server" else ""
    return f" {whole}{seen.source} blocks until {whom.replace('a web', 'the web')} answers."


def _unseen(seen: Evidence) -> str:
    whom = f" to one of its {seen.peers} peers" if seen.peers > 1 else ""
    return (
        f"{seen.source} {_makes(seen)}sends {_it(seen)} off{whom};"
        " nobody has taken it when the record ends."
    )


def _message(seen: Evidence) -> str:
    if seen.socket in ("PUB", "XPUB"):
        return _publish(seen)
    if seen.source_role == "router":
        return _route(seen)
    if seen.target_role == "router":
        return _hand_over(seen)
    if seen.source_role == "worker":
        return _hand_back(seen)
    how = " over HTTP" if seen.over_http else ""
    if seen.source_role == "client":
        return f"{seen.source} {_makes(seen)}sends {_it(seen)} to {seen.target}{how}."
    back = " back" if seen.returns else ""
    text = f"{seen.source} {_makes(seen)}gives {_it(seen)}{back} to {seen.target}{how}"
    if seen.turn:
        text += f": {seen.socket} deals in rounds, and it is {seen.target}'s turn"
    return f"{text}.{_waits(seen, seen.target)}"


def _hand_over(seen: Evidence) -> str:
    text = f"{seen.source} {_makes(seen)}hands {_it(seen)} to {seen.target}."
    if seen.unacknowledged:
        verb = "messages are" if seen.unacknowledged > 1 else "messages is"
        text += (
            f" {seen.source} may not take more: {seen.unacknowledged} of its {verb} not"
            " acknowledged yet."
        )
    return text


def _hand_back(seen: Evidence) -> str:
    taking = f"{seen.target} takes {seen.message} from {seen.source}."
    if seen.made_of:
        return f"{seen.source} {_makes(seen)}hands it back: {taking}"
    return f"{seen.source} works on {seen.message} and hands it back: {taking}"


def _route(seen: Evidence) -> str:
    row = seen.row
    if row is None:
        why = "; no declared row says so" if seen.routed else ""
        return f"{seen.source} hands {seen.message} to {seen.target}{why}."
    if row.feedback == "on":
        what = f"sends the feedback of {seen.message} on to {seen.target}"
    else:
        what = f"hands {seen.message} to {seen.target}"
    text = f"{seen.source} reads row {row.number} and {what}"
    return text + (f"; {seen.waiter} waits for the feedback." if row.feedback == "waits" else ".")


def _publish(seen: Evidence) -> str:
    text = f"{seen.source} {_makes(seen)}publishes {_it(seen)}"
    if not seen.made_of and (seen.ran or seen.changed):
        does = f"runs {seen.ran} on" if seen.ran else "changes"
        text = f"{seen.source} {does} {seen.message} and publishes it"
    if seen.own_topic:
        return f"{text} under its client's id; only that client has subscribed to it."
    if seen.own_name:
        text += " under its server's name"
    elif seen.topic:
        text += f" under the topic {seen.topic}"
    if seen.subscribers == 0 and not seen.arrives:
        return f"{text}; nobody has subscribed to it."
    if seen.subscribers == 1:
        return f"{text}; only {seen.target} has subscribed to it."
    if seen.subscribers > 1:
        return f"{text}; {seen.target} is one of {seen.subscribers} that have subscribed to it."
    return f"{text}, and {seen.target} takes it."


def _credit(seen: Evidence) -> str:
    many = f"{seen.worth} messages" if seen.worth > 1 else "a message"
    if seen.source_role == "router":
        return (
            f"{seen.source} acknowledges {many} to {seen.target or 'a part'},"
            " which may hand over as many more."
        )
    return f"{seen.source} tells {seen.target or 'the router'} that it is done with {many}."


def _request(seen: Evidence) -> str:
    asked = {
        "get": f"for {seen.text}",
        "set": "to keep a value",
        "delete": f"to forget {seen.text}",
    }.get(seen.function.rpartition(".")[2], "")
    text = f"{seen.source} asks {seen.target or 'somebody'} {asked}".rstrip()
    return f"{text} ({seen.message})."


def _answer(seen: Evidence) -> str:
    if seen.over_http:
        works = f"works on {seen.answers} and " if seen.answers else ""
        works = works if seen.source_role == "worker" else ""
        return f"{seen.source} {works}answers {seen.target}."
    return f"{seen.source} answers {seen.target or 'its asker'}: {seen.text or 'nothing'}."


def _ready(seen: Evidence) -> str:
    return (
        f"{seen.source} tells {seen.target or 'a subscriber'} that its subscription has arrived:"
        " nothing published from now on can miss it."
    )


_TELL = {
    "message": _message,
    "credit": _credit,
    "request": _request,
    "answer": _answer,
    "ready": _ready,
}


def _makes(seen: Evidence) -> str:
    return f"makes {seen.message} out of {seen.made_of} and " if seen.made_of else ""


def _it(seen: Evidence) -> str:
    return "it" if seen.made_of else seen.message


def _because(seen: Evidence) -> str:
    return f": {seen.cause.rstrip('.')}" if seen.cause else "; the record does not say why"


def _capital(text: str, seen: Evidence) -> str:
    """A capital where the sentence opens with words of ours; a name stays as it is."""
    ours = [seen.message]
    ours += [seen.source] if seen.source_role == "router" else []
    ours += [seen.target] if seen.target_role == "router" else []
    ours += ["the web", "a web"]
    opens = any(text == words or text.startswith(f"{words} ") for words in ours)
    return text[:1].upper() + text[1:] if opens else text
