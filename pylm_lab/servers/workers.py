"""Who asks a server's cache, and works for it."""

from __future__ import annotations

import logging
import sys
import threading

import zmq

from pylm_lab.actor import Actor
from pylm_lab.arguments import count
from pylm_lab.errors import NoAnswer, PayloadError, WiringError
from pylm_lab.functions import Functions
from pylm_lab.hook import GAVE_NOTHING
from pylm_lab.loop import Wait
from pylm_lab.parts.core import read, zmq_context
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.port import Port
from pylm_lab.stamps import Ids

__all__ = ["CacheUser", "MuxWorker", "Worker"]

Context = zmq.Context[zmq.Socket[bytes]]


#: Bytes of a strange answer that an error shows.
_SHOWN = 40


class CacheUser(Actor):
    """Whoever asks a server's cache: a worker or a client."""

    db: Port
    #: Every key it uses begins with it.
    prefix = ""

    def get(self, key: str) -> bytes | None:
        """The value of the key in the server's cache; None if it is absent or empty."""
        return self._ask("get", self._full(key)) or None

    def set(self, value: bytes, key: str | None = None) -> str:
        """Store the value in the server's cache; returns the key, a new one if none is given.

        Raises:
            PayloadError: the value is not bytes, or the key not text; so say `get` and `delete`.
        """
        if not isinstance(value, bytes):
            kind = type(value).__name__
            raise PayloadError(f"the value for {key!r} is {kind}, not bytes: encode it first")
        key = self.ids.text() if key is None else key
        return self._text("set", self._full(key), value).removeprefix(self.prefix)

    def delete(self, key: str) -> str | None:
        """Forget the key in the server's cache; returns it, or None if it was absent."""
        return self._text("delete", self._full(key)).removeprefix(self.prefix) or None

    def _full(self, key: str) -> str:
        """The key as the cache knows it."""
        if not isinstance(key, str):
            raise PayloadError(f"the key {key!r} is {type(key).__name__}, not text: give a str")
        return self.prefix + key

    def _text(self, operation: str, key: str, value: bytes | None = None) -> str:
        """What the cache answers where that is text: a key, a name or an address.

        Raises:
            WiringError: it is none.
        """
        answer = self._ask(operation, key, value)
        try:
            return answer.decode()
        except UnicodeDecodeError:
            raise WiringError(
                f"{self.id} asked the cache at {self.db.address} for {operation} {key!r}: the "
                f"answer {answer[:_SHOWN]!r} is no text. Is it a server's cache that listens there?"
            ) from None

    def _ask(self, operation: str, key: str, value: bytes | None = None) -> bytes:
        message = PalmMessage(
            client=self.uuid,
            function=f"{self.serves or 'server'}.{operation}",
            cache="" if value is None else key,
            payload=key.encode() if value is None else value,
        )
        try:
            self.next((), (self.db, [message.SerializeToString()]), self.patience)
            return self.next((self.db,), None, self.patience)[1][-1]
        except NoAnswer as error:
            self._renew()
            raise NoAnswer(
                f"{self.id} asked the cache at {self.db.address} for {operation} {key!r}: no "
                f"answer within {self.patience:g} s. Is the server running there?"
            ) from error
        except BaseException:
            self._renew()
            raise

    def _renew(self) -> None:
        """A REQ that was left without its answer can't ask again: take a new one."""
        if self.gate is None and self.db.is_open and self.is_open:
            self.db.close()
            self.db.open(self.context)

    #: Seconds that it waits for the cache; None: as long as it takes.
    patience: float | None = None

    @property
    def uuid(self) -> str:
        """Its id, as messages name it."""
        raise NotImplementedError


class Worker(Functions, CacheUser, machinery=True):
    """Runs its own methods for a master: `server.foo` calls `foo(payload)`, which returns bytes.

    Args:
        name: its name; a new id if empty.
        db_address: the cache of the master, where the other addresses are looked up.
        push_address: the master's push side, which the worker pulls from.
        pull_address: the master's pull side, which the worker pushes to.
        log_level: of its logger.
        messages: end after that many messages.
        server: the name of the master in the same cluster, in place of addresses.
        context: a ZeroMQ context; the default is `parts.core.zmq_context`.

    Only public methods of the user's own class can be called, and `echo`. One that fails is logged,
    and answers `b'0'` with the field `error`. `self.message` is the message at hand.
    """

    role = "worker"
    precise = True

    def __init__(
        self,
        name: str = "",
        db_address: str = "",
        push_address: str | None = None,
        pull_address: str | None = None,
        log_level: int = logging.INFO,
        messages: int = sys.maxsize,
        *,
        server: str = "",
        context: Context | None = None,
    ) -> None:
        super().__init__(name or Ids(None, "worker").text(), context=context or zmq_context)
        #: Nobody has given it a name: a cluster may.
        self.nameless = not name
        self.logger.setLevel(log_level)
        self.db_address = db_address
        self.push_address = push_address
        self.pull_address = pull_address
        self.messages = count("messages", messages, "how many messages to end after", least=0)
        self.serves = server
        #: Where a cluster has found the cache of the server.
        self.db_found = ""
        #: Set when it is connected and waits for its first message.
        self.is_ready = threading.Event()
        self.db = self.add_port("db", zmq.REQ, binds=False, sends="request", receives="answer")
        self.pull = self.add_port("pull", zmq.PULL, binds=False, receives="message")
        self.push = self.add_port("push", zmq.PUSH, binds=False, sends="message")

    @property
    def uuid(self) -> str:
        return self._uuid

    def open(self) -> None:
        self.is_ready.clear()
        self.db.address = self.db_address or self.db_found
        self.pull.address = self.push.address = ""
        if not self.db.address and (self.push_address is None or self.pull_address is None):
            raise WiringError(
                f"{self.id} knows no server: give it db_address, or push_address and pull_address, "
                "or add it to a cluster with server=…"
            )
        super().open()
        self._uuid = self.ids.text()

    def run(self) -> None:
        for port, address, key, part in (
            (self.pull, self.push_address, "worker_push_address", "WorkerPushService"),
            (self.push, self.pull_address, "worker_pull_address", "WorkerPullService"),
        ):
            if address is None:
                found = self._text("get", key)
                if not found:
                    raise WiringError(
                        f"{self.id} knows no {key} of its server: it has no {part} to tell one. "
                        f"Register one, or look whether {self.db.address} is a master's cache"
                    )
                address = found
            self.act("connect", port)
            port.join(address)
        self.is_ready.set()
        for _ in range(self.messages):
            _, frames = self.next((self.pull,))
            message = read(self.pull, frames)
            if message is None:
                continue
            answers = 0
            for answers, answer in enumerate(self.answers(message), 1):  # noqa: B007 - the last one
                self.emit(self.push, [answer.SerializeToString()])
            if not answers:
                self.pull.drop(frames, GAVE_NOTHING)

    def _tell_start(self) -> None:
        where = self.db.address or f"none: it pulls at {self.push_address}"
        self.logger.info("%s has started; the cache of its server: %s", self.id, where)

    def _is_at_once(self) -> bool:
        # A function may take as long as it likes.
        return self._works is not None or super()._is_at_once()

    def waiting(self) -> Wait | None:
        """For what it waits now: also for a function of its own to return."""
        works, found = self.working(), super().waiting()
        return works if found is None else found

    def ended(self) -> None:
        # What it would still be dealt is for others. Who stopped it closes later, when nobody deals
        # any more, and drops by name what came; under a gate everything stays until the end.
        if self.gate is None and not self._stopping:
            self.cleanup()


class MuxWorker(Worker, machinery=True):
    """A worker whose methods are generators: they yield none, one or many results for a message.

    Each result is a message of its own. A method may also return bytes, which is one result.
    """

    _yields = True
