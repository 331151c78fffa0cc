"""The client: asks a server to run a function, and waits for what is published under its id."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import TracebackType
from typing import Any, Literal, Self

import zmq

from pylm_lab.actor import DEADLINE, Run
from pylm_lab.arguments import count, seconds
from pylm_lab.calls import Call
from pylm_lab.errors import NoAnswer, PayloadError, RunError, WiringError
from pylm_lab.loop import BATCH
from pylm_lab.parts.core import read, zmq_context
from pylm_lab.port import Port
from pylm_lab.schedule import Stopped
from pylm_lab.subscribing import Subscriber
from pylm_lab.wire import READY

__all__ = ["Client"]

#: The timeout of a call that is given none: the client's.
UNSET: Any = type("Unset", (), {"__repr__": lambda _: "the client's"})()
#: Messages that a job sends before it looks for answers again.
AHEAD = 64


class Client(Subscriber):
    """Talks to a server: `eval` for one message, `job` for many, `get`, `set`, `delete`.

    It looks up the server's addresses in its cache when it is made, and waits for it if need be.
    Calls may overlap, as in a loop over `job` that calls `eval`; one thread at a time may call.

    Args:
        server_name: the server's name.
        db_address: its cache's address.
        push_address: where the server pulls, in place of what the cache says.
        sub_address: where the server publishes, likewise.
        session: every key it uses in the cache begins with it.
        logging_level: of its logger.
        this_config: use the addresses given, and ask nothing.
        timeout: seconds to wait for each answer; None: as long as it takes.
        errors: what an answer of a failed function does: "return" gives its payload, `b'0'`, and
            "raise" raises FunctionError, in `job` after all other answers.
        name: what it is called in a trace.
        context: a ZeroMQ context; the default is `parts.core.zmq_context`.

    Raises:
        ValueError: the server there has another name.
        NoAnswer: nobody answered within `timeout`.
    """

    role = "client"
    precise = True
    originates = True

    def __init__(
        self,
        server_name: str,
        db_address: str,
        push_address: str | None = None,
        sub_address: str | None = None,
        session: str | None = None,
        logging_level: int = logging.INFO,
        this_config: bool = False,
        *,
        timeout: float | None = None,
        errors: Literal["return", "raise"] = "return",
        name: str = "client",
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        run: Run | None = None,
    ) -> None:
        super().__init__(name, context=context or zmq_context)
        self.logger.setLevel(logging_level)
        self.server_name = self.serves = server_name
        self.db_address = db_address
        self.patience = seconds("timeout", timeout)
        if errors not in ("return", "raise"):
            raise WiringError(
                f'errors={errors!r}: "return" gives the b\'0\' of a failed function, "raise" raises'
            )
        self.errors = errors
        self.prefix = session or ""
        self.session = session
        self.db = self.add_port("db", zmq.REQ, binds=False, sends="request", receives="answer")
        self.push = self.add_port("push", zmq.PUSH, binds=False, sends="message")
        self.sub = self.add_port("sub", zmq.SUB, binds=False, receives="message")
        self.db.address = db_address
        #: The calls that are open, by the id that their messages have in `pipeline`.
        self._calls: dict[str, Call] = {}
        #: Told when it is closed.
        self.on_close: Callable[[Client], None] | None = None
        #: Why there will be no answer any more.
        self._given_up: RunError | None = None
        #: Held while a call waits; whoever closes the sockets takes it first.
        self._waits = threading.RLock()
        if run is not None:
            self.enter(run)
        if self.gate is not None:
            self.gate.announce(self, self.id, thread=False)
        self.open()
        if run is not None and run.joins is not None:
            run.joins(self)
        self._uuid = self.ids.text()
        try:
            self._connect(push_address, sub_address, this_config)
        except BaseException:
            self.cleanup(linger=0)
            raise

    def _connect(
        self, push_address: str | None, sub_address: str | None, this_config: bool
    ) -> None:
        if not this_config:
            found = self._look_up("name")
            if found != self.server_name:
                raise WiringError(
                    f"the server at {self.db_address} is called {found!r}, not "
                    f"{self.server_name!r}: mend the name or the address"
                )
        for port, address, key, part in (
            (self.push, push_address, "pull_address", "PullService"),
            (self.sub, sub_address, "pub_address", "PubService"),
        ):
            if not address:
                found = "" if this_config else self._look_up(key)
                if not found:
                    raise WiringError(
                        f"{self.id} knows no {key} of {self.server_name!r}: the server has no "
                        f"{part} to tell one. Register one, or give push_address and sub_address"
                    )
                address = found
            self.act("connect", port)
            port.join(address)

    def _look_up(self, key: str) -> str:
        """What the server says of itself, which no session changes; empty if it says nothing."""
        return self._text("get", key)

    @property
    def uuid(self) -> str:
        """Its id, as messages name it, and the topic of its answers."""
        return self._uuid

    def eval(
        self,
        function: str | list[str],
        payload: bytes,
        messages: int = 1,
        cache: str = "",
        *,
        timeout: float | None = UNSET,
    ) -> bytes | list[bytes]:
        """Send one message and wait for what comes of it.

        Args:
            function: `server.method`; a list of them, or several separated by spaces: one a step.
            payload: the data.
            messages: how many answers to wait for.
            cache: goes with the message, in its field of that name; an id of its own if empty.
            timeout: seconds to wait for each answer, in place of the client's.

        Returns:
            One payload, or a list of them when `messages` is more than 1.

        Raises:
            PayloadError: the payload is not bytes.
            NoAnswer: an answer did not come within the timeout. `missing` are the positions of
                payloads that have none.
            FunctionError: the function failed, or there is none of that name, where the client was
                made with `errors="raise"`.
            RunError: the server has ended, or the client is closed.
        """
        answers = list(self.job(function, [payload], messages, cache, timeout=timeout))
        return answers[0] if messages == 1 else answers

    def job(
        self,
        function: str | list[str],
        generator: Iterable[bytes],
        messages: int = sys.maxsize,
        cache: str = "",
        *,
        timeout: float | None = UNSET,
    ) -> Iterator[bytes]:
        """Send a message for each payload, and give the answers as they come.

        It is lazy: nothing is sent before the first answer is asked for, and payloads are taken
        from the generator while answers come back. It ends after `messages` answers, which is never
        unless told otherwise; close it, or leave the loop, to end it sooner.

        Raises: as `eval`. Answers of failed functions count among the `messages`; the first of them
        is raised at the end, when all others have been given.
        """
        steps = [function] if isinstance(function, str) else function
        if (
            not isinstance(steps, list | tuple)
            or not steps
            or not all(isinstance(one, str) and one.strip() for one in steps)
        ):
            raise TypeError(f"function={function!r}: name one, or a list of names")
        if not isinstance(cache, str):
            raise TypeError(f"cache={cache!r}: the message's field of that name is text")
        if isinstance(generator, str | bytes | bytearray | memoryview):
            kind = "text" if isinstance(generator, str) else type(generator).__name__
            raise PayloadError(f"generator is one {kind}: give a list of payloads, or a generator")
        if not isinstance(generator, Iterable):
            raise PayloadError(
                f"generator={generator!r}: give the payloads, as a list or generator"
            )
        count("messages", messages, "how many answers to wait for", least=0)
        until = self.patience if timeout is UNSET else seconds("timeout", timeout)
        return self._job(" ".join(steps), iter(generator), messages, cache, until)

    def _job(
        self,
        function: str,
        source: Iterator[bytes],
        messages: int,
        cache: str,
        timeout: float | None,
    ) -> Iterator[bytes]:
        raises = self.errors == "raise"
        call = Call(self.ids.text(), self.uuid, function, cache, messages, raises=raises)
        self._open_call(call)
        ahead = 0
        waiting: tuple[Port, list[bytes]] | None = None
        more = True
        try:
            while call.answered < messages:
                if call.has_answers:
                    answer = call.answer()
                    if answer is not None:
                        yield answer
                    elif call.is_endless and call.failure and not call.failure.others:
                        self.logger.error("%s: %s", self.id, call.failure)  # it is never raised
                    continue
                if waiting is None and more:
                    try:
                        payload = next(source)
                    except StopIteration:
                        more = False
                        continue
                    waiting = self.push, [call.ask(payload)]
                    if ahead < AHEAD and self._sent_at_once(waiting[1]):
                        waiting, ahead = None, ahead + 1
                        continue
                ahead = 0
                try:
                    port, batch = self.drain((self.sub,), BATCH, timeout, waiting)
                except NoAnswer as error:
                    stuck = self.push.id if waiting else ""
                    late = call.late(timeout, self.server_name, stuck, more)
                    sends = waiting[0] if waiting else None
                    late.waits = self.waits_when_late((self.sub,), sends, timeout)
                    raise late from error
                if port is self.push:
                    waiting = None
                    continue
                for frames in batch:
                    self._sort(frames)
            if call.failure is not None:
                raise call.failure
        finally:
            self._close_call(call)

    def _sent_at_once(self, frames: list[bytes]) -> bool:
        """There was room for the message, and it has left."""
        if self.gate is not None:
            return False
        with self._waits, suppress(zmq.Again):
            if not self.is_open:
                raise self._closed()
            self.push.put(frames)
            return True
        return False

    def _open_call(self, call: Call) -> None:
        """Let its answers arrive; the first call that is open subscribes for all."""
        if not self.is_open:
            raise self._closed()
        if not self._calls:
            self._subscribe(self.uuid.encode())
        self._calls[call.pipeline] = call

    def _close_call(self, call: Call) -> None:
        with self._alone():
            del self._calls[call.pipeline]
            if not self._calls:
                self._unsubscribe(self.uuid.encode())

    def _alone(self) -> AbstractContextManager[object]:
        """No other thread closes the sockets; under a gate none runs meanwhile."""
        return nullcontext() if self.gate is not None else self._waits

    def _sort(self, frames: list[bytes]) -> None:
        """Put an answer where its call finds it; what answers none is dropped, and told so."""
        if frames[0] != self.uuid.encode():
            if not frames[0].startswith(READY):
                self.sub.drop(frames, "it is for somebody whose id begins alike")
            return
        message = read(self.sub, frames)
        if message is None:
            return
        call = self._calls.get(message.pipeline)
        if call is None:
            self.sub.drop(frames, "it answers an earlier call, which has ended")
        else:
            call.heard(message)

    def next(
        self,
        ports: tuple[Port, ...],
        sending: tuple[Port, list[bytes]] | None = None,
        timeout: float | None = None,
    ) -> tuple[Port, list[bytes]]:
        with self._waiting():
            return super().next(ports, sending, timeout)

    def drain(
        self,
        ports: tuple[Port, ...],
        most: int = BATCH,
        timeout: float | None = None,
        sending: tuple[Port, list[bytes]] | None = None,
    ) -> tuple[Port, list[list[bytes]]]:
        with self._waiting():
            return super().drain(ports, most, timeout, sending)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Nobody closes the sockets meanwhile; a stop ends it."""
        with self._alone():
            if not self.is_open:
                raise self._closed()
            try:
                yield
            except Stopped:
                if self._given_up is not None:
                    raise RunError(str(self._given_up)) from self._given_up.__cause__
                raise RunError(f"{self.id} was stopped while a call waited") from None

    def give_up(self, error: RunError) -> None:
        """End a call that waits, and every later one, with this error; from any thread."""
        self._given_up = error
        self.stop()

    def _closed(self) -> RunError:
        if self._given_up is not None:
            return self._given_up
        return RunError(f"{self.id} is closed: make a new client")

    def launch(self) -> None:
        """A client runs nothing by itself: call `eval` or `job`."""
        raise RunError(f"{self.id} is a client, which runs nothing by itself: call eval or job")

    def start(self) -> bytes:
        """A client runs nothing by itself: call `eval` or `job`."""
        self.launch()
        return b""

    def close(self, linger: float = DEADLINE) -> None:
        """Close its sockets; a second time does nothing.

        What was sent may still leave for `linger` seconds.
        """
        if self.gate is None:
            self.stop()  # a call that waits in another thread ends with an error
        else:
            self._leaves = True
            self.gate.interrupt(self, RunError(f"{self.id} was closed while a call waited"))
        with self._alone():
            self.cleanup(linger)
        if self.on_close is not None:
            self.on_close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
