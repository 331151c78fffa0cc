"""A call of a client: what it has asked, what has been answered, and what is still due.

Answers tell which call they belong to by the field `pipeline`, and which of its payloads they
answer by the field `cache`, which every message has anyhow once it is in a server.
"""

from __future__ import annotations

import sys
from collections import deque

from pylm_lab.errors import FunctionError, NoAnswer, PayloadError
from pylm_lab.parts.messages_pb2 import PalmMessage

__all__ = ["Call"]

#: Positions of payloads without an answer that an error names.
SHOWN = 10


class Call:
    """One `job` of a client, or one `eval`.

    With a `cache` of the user's own its answers look all alike, and `due` stays empty. If it
    `raises`, an answer that tells of a failed function is kept as `failure`, and not given.
    """

    def __init__(
        self,
        pipeline: str,
        client: str,
        function: str,
        cache: str,
        messages: int,
        *,
        raises: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self.messages = messages
        self.answered = self.asked = 0
        #: The payloads that have no answer yet: the id that they went with → position, from 1.
        self.due: dict[str, int] = {}
        self._function = function
        self._raises = raises
        #: The first answer that told of a failed function, as an error that counts the others.
        self.failure: FunctionError | None = None
        #: The field is the user's; it does not tell to which payload an answer belongs.
        self._owned = self._unclaimed = bool(cache)
        self._inbox: deque[PalmMessage] = deque()
        # The last fields of a message are `cache` and `payload`; those before are always the same.
        # One message whose payload is set again and again would keep them all.
        self._head = PalmMessage(
            pipeline=pipeline, client=client, function=function, cache=cache
        ).SerializeToString()

    def ask(self, payload: bytes) -> bytes:
        """The message for the next payload.

        Raises:
            PayloadError: the payload is not bytes.
        """
        self.asked += 1
        if not isinstance(payload, bytes):
            kind = type(payload).__name__
            raise PayloadError(
                f"payload {self.asked} for {self._function} is {kind}, not bytes: encode it first"
            )
        tail = PalmMessage(payload=payload)
        if not self._owned:
            tail.cache = f"{self.pipeline}{self.asked:08x}"
            if not self._unclaimed:
                self.due[tail.cache] = self.asked
        return self._head + tail.SerializeToString()

    def heard(self, message: PalmMessage) -> None:
        """An answer has come."""
        self._inbox.append(message)

    @property
    def has_answers(self) -> bool:
        """There is an answer to give."""
        return bool(self._inbox)

    @property
    def is_endless(self) -> bool:
        """It ends when it is left, and not before."""
        return self.messages == sys.maxsize

    def answer(self) -> bytes | None:
        """The payload of the next answer that has come; None if that is a failure."""
        message = self._inbox.popleft()
        self.answered += 1
        if self.due.pop(message.cache, None) is None and not message.cache.startswith(
            self.pipeline
        ):
            # Somebody has made a message of his own out of ours: nothing tells whose answer it is.
            self._unclaimed = True
            self.due.clear()
        return None if self._raises and self._is_failure(message) else message.payload

    def _is_failure(self, message: PalmMessage) -> bool:
        """Note that an answer tells of a failed function, if it does."""
        if not message.HasField("error"):
            return False
        if self.failure is not None:
            self.failure.others += 1
            return True
        told = message.error
        self.failure = FunctionError(told.server, told.function, told.kind, told.text, told.line)
        return True

    def late(self, timeout: float | None, server: str, stuck: str, more: bool) -> NoAnswer:
        """No other answer has come in time.

        `stuck` is a port at which nothing leaves, or empty; `more`: not every payload was sent yet.
        """
        wanted = "" if self.is_endless else f" of {self.messages}"
        text = [
            f"{self._function}: {self.answered}{wanted} answers, "
            f"and no other within {timeout:g} s.",
            f"Nobody takes what {stuck} sends." if stuck else "",
        ]
        if self.due:
            many = "s" if len(self.due) > 1 else ""
            text.append(f"Without an answer: payload{many} {self._positions()}.")
        if more or self.due or self._unclaimed:
            text.append(
                f"Does a worker of {server!r}, or the server itself, answer in time, and this "
                "client (answers= names the server that answers, where it is another)?"
            )
        else:
            sent = "1 payload was" if self.asked == 1 else f"{self.asked} payloads were"
            text.append(f"Only {sent} sent, and each has had its answer.")
        if self.failure is not None:
            text.append(f"Of those that came: {self.failure}.")
        error = NoAnswer(" ".join(filter(None, text)))
        error.missing = tuple(self.due.values())
        return error

    def _positions(self) -> str:
        found = [str(position) for position in self.due.values()]
        more = f", … ({len(found)} in all)" if len(found) > SHOWN else ""
        return ", ".join(found[:SHOWN]) + more
