"""Actor: whoever owns ports, from its declaration to its end.

1. `__init__` declares, `open` makes every socket in the thread that starts the actor, `run` is the
   work, in a thread of its own or in the caller's, `cleanup` closes.
2. A stop may come from any thread, at any time, as often as one likes.
3. A socket is used by one thread at a time: the starter's until the loop begins, the loop's, and
   whoever closes it when the loop has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import zmq

from pylm_lab import hook
from pylm_lab.address import Places
from pylm_lab.breakage import Breakage
from pylm_lab.clock import Clock, steady
from pylm_lab.errors import LabError, RunError
from pylm_lab.foreground import Foreground
from pylm_lab.loop import Loop
from pylm_lab.port import Port
from pylm_lab.schedule import SLICE, Gate, Stopped
from pylm_lab.waits import Waits
from pylm_lab.witness import witness

__all__ = ["DEADLINE", "Actor", "Run"]

#: Seconds that `Actor.join` and closing sockets wait, unless told otherwise.
DEADLINE = 2.0


@dataclass(kw_only=True)
class Run:
    """What all the actors of one run share.

    `context` is the ZeroMQ context (None: each its own default), `gate` that of a controlled run,
    `seed` what every id comes from.
    """

    context: zmq.Context[zmq.Socket[bytes]] | None = None
    hooks: hook.Hooks = field(default_factory=hook.Hooks)
    gate: Gate | None = None
    seed: int | None = None
    #: For services without an address: `inproc`, or `tcp` for free ports of this machine.
    transport: str = "tcp"
    #: Told of a client before it speaks with its server.
    joins: Callable[[Any], None] | None = None
    #: Where its ports are, and what is broken on purpose.
    places: Places = field(default_factory=Places)
    breakage: Breakage | None = None
    #: Tells who waits in it.
    waiting: Callable[[], Waits] | None = None


class Actor(Loop):
    """Whoever owns ports: a thread with its ports, its loop and the way to end it.

    A subclass declares its ports in `__init__` (`add_port`), opens them in `open_ports`, and does
    its work in `run`, which calls `next` and `emit` until they raise `Stopped`.
    """

    def __init__(
        self,
        name: str,
        *,
        context: zmq.Context[zmq.Socket[bytes]],
        logger: Any = None,
    ) -> None:
        super().__init__(name, logger)
        self.server = ""
        self.serves = ""
        self.context = context
        self.seed: int | None = None
        self.ports: list[Port] = []
        #: The error that ended its loop, or None.
        self.reason: BaseException | None = None
        #: Called in its thread, after `ended`: whoever it belongs to wants to know.
        self.on_end: Callable[[], None] | None = None
        self.thread: threading.Thread | None = None
        #: Its loop does not run. A thread can't be asked: one whose `join` Ctrl-C has interrupted
        #: calls itself ended (Python 3.11).
        self._rests = threading.Event()
        self._rests.set()
        #: Nobody waits for its end any more: it closes its sockets itself.
        self.abandoned = False
        self.is_open = False
        self._was_opened = False
        self._voice: zmq.Socket[bytes] | None = None
        self._hears_at = ""
        #: The hooks that belong to the run, not to the actor.
        self._guests: tuple[hook.Hook, ...] = ()
        #: Lets who is installed to hear it hear no more.
        self._unheard: Callable[[], None] | None = None
        self._mutex = threading.Lock()

    @property
    def clock(self) -> Clock:
        """The clock of its run, for functions of its user's."""
        return Clock(self)

    @property
    def blocks(self) -> bool:
        """It expects its pair to answer."""
        return False

    # Making it

    def add_port(self, name: str, socket_type: int, **options: Any) -> Port:
        """Declare a port; see `Port` for the options."""
        port = Port(self, name, socket_type, **options)
        self.ports.append(port)
        return port

    def attach(self, hook: hook.Hook) -> Self:
        """Let the hook hear this actor, from its start on. Returns the actor.

        Raises:
            RunError: it has been started.
        """
        if self._was_opened:
            raise RunError(f"{self.id} has started: attach hooks before")
        self.hooks.add(hook)
        return self

    def enter(self, run: Run) -> None:
        """Take part in a run: hear its hooks, wait at its gate, use its context."""
        self.not_running()
        self.context = run.context or self.context
        self.gate = run.gate
        self.seed = run.seed
        self.places, self.breakage, self.run_waits = run.places, run.breakage, run.waiting
        self.logger = steady(self.logger, run.gate)
        self._guests = self.hooks.exchange(self._guests, run.hooks)

    def declare(self, hooks: hook.Hook | None = None) -> None:
        """Tell hooks (its own, unless others are given) that it is there, with its ports."""
        own, self.hooks = self.hooks, hook.Hooks([hooks]) if hooks else self.hooks
        try:
            self.hooks.actor_declared(
                hook.Actor(
                    id=self.id,
                    label=self.name,
                    role=self.role,
                    kind=type(self).__name__,
                    server=self.server,
                    serves=self.serves,
                    blocks=self.blocks,
                )
            )
            for port in self.ports:
                port.declare()
        finally:
            self.hooks = own

    def open(self) -> None:
        """Make the sockets. Does nothing if it is open."""
        if self.is_open:
            return
        self._restart(self.seed)
        self._ears = self._voice = None
        self._hears_at = ""
        self._stopping = self.abandoned = False
        self.reason = None
        self._was_opened = True
        self._unheard = witness(self.hooks, self.id)
        self._tells_waiting = self.hooks.hears("actor_waiting")
        self.declare()
        self.is_open = True
        try:
            if self.gate is None:
                self._ears = self.context.socket(zmq.PAIR)
                self._voice = self.context.socket(zmq.PAIR)
                address = f"inproc://stop.{id(self):x}"
                self._ears.bind(address)
                self._hears_at = address
                self._voice.connect(address)
            self.open_ports()
        except BaseException:
            self.cleanup()
            raise

    def open_ports(self) -> None:
        """Open each port; to be overridden where a socket needs options."""
        for port in self.ports:
            port.open(self.context)

    # Running it

    def run(self) -> None:
        """The actor's work; ends when `next` or `emit` raise `Stopped`."""
        raise NotImplementedError

    def not_running(self) -> None:
        """Raise RunError if its thread is alive."""
        if self.is_running:
            raise RunError(f"{self.id} runs already: stop it first, or make another one")

    def start(self) -> bytes:
        """Run until ended, in this thread; returns the name. Opens the sockets if need be.

        In the main thread Ctrl-C ends it: once the message at hand is done, or at once where a
        function of the user's runs; see `Foreground`.
        """
        with Foreground(self._hear_end, self._is_at_once) as here:
            self.open()
            try:
                self._tell_start()
                if not here.interrupted:
                    self.work()
                if self.reason is not None:
                    raise self.reason
            finally:
                self.cleanup()
        return self.name.encode()

    def _tell_start(self) -> None:
        """Called by a blocking start, before it begins."""

    def _is_at_once(self) -> bool:
        """Ctrl-C is not to wait until it looks whether it is to end."""
        return self.gate is not None

    def _hear_end(self) -> None:
        """`stop`, from a handler of signals: whoever holds the mutex ends it already."""
        if self._mutex.acquire(blocking=False):
            try:
                self._call_stop()
            except zmq.ZMQError:
                pass  # it is about to open, and looks before it begins
            finally:
                self._mutex.release()

    def launch(self) -> None:
        """Run in a thread of its own.

        Raises:
            RunError: it runs already.
        """
        self.not_running()
        if self._stopping:
            self.cleanup()
        self.open()
        self.thread = threading.Thread(target=self._work_here, name=self.id, daemon=True)
        if self.gate is not None:
            self.gate.announce(self, self.id, thread=True)
        try:
            self._rests.clear()
            self.thread.start()
        except BaseException:
            if self.thread.ident is None:
                # It has not begun; should it begin yet, it finds itself forgotten.
                self.thread = None
                self._rests.set()
            raise

    def _work_here(self) -> None:
        if self.thread is threading.current_thread():
            self.work()

    def work(self) -> None:
        """`run` from its first to its last event, in the thread that calls this."""
        try:
            self._work()
        finally:
            self._rests.set()

    def _work(self) -> None:
        gate = self.gate
        if gate is not None:
            try:
                gate.begin(self)
            except Stopped:
                gate.end(self)
                return
        self.hooks.actor_started(self.id, self.tick())
        try:
            self.run()
        except (Stopped, zmq.ContextTerminated):
            pass
        except (Exception, SystemExit) as error:  # exit() in a user's method ends no thread unseen
            self.reason = error
            # An error of ours says in its text all there is to know.
            known = isinstance(error, LabError)
            self.logger.error("%s ends: %s", self.id, error, exc_info=not known)
            self.hooks.actor_failed(self.id, error, self.tick())
        finally:
            self._drop_taken()
            self.hooks.actor_stopped(self.id, self.tick())
            self.ended()
            if self.on_end is not None:
                self.on_end()
            if gate is not None:
                gate.end(self)
            if self.abandoned:
                self.cleanup(linger=0)
                if gate is not None:
                    gate.finish()

    def ended(self) -> None:
        """Called in the actor's thread when its loop has ended."""

    def stop(self) -> None:
        """Ask it to end; from any thread, as often as you like. `join` waits for it."""
        if self.gate is not None:
            self._stopping = True
            self.gate.stop(self)
            return
        with self._mutex:
            self._call_stop()

    def _call_stop(self) -> None:
        if self.is_open and not self._stopping and self._voice is not None:
            self._stopping = True
            self._voice.send(b"stop", zmq.NOBLOCK)

    def join(self, timeout: float = DEADLINE) -> bool:
        """Wait until its thread has ended; False if it has not after `timeout` seconds."""
        until = time.monotonic() + timeout
        while not self._rests.wait(min(SLICE, max(0.0, until - time.monotonic()))):
            if time.monotonic() >= until:
                return False
        thread = self.thread
        if thread is not None:
            if thread.ident is not None:
                thread.join(SLICE)  # it has nothing left to do
            self.thread = None
        return True

    @property
    def is_running(self) -> bool:
        """Its thread is alive."""
        return self.thread is not None and not self._rests.is_set()

    def cleanup(self, linger: float = DEADLINE) -> None:
        """Close the sockets; what was sent may still leave for `linger` seconds.

        Under a gate they stay open until the run is over.
        """
        with self._mutex:
            if not self.is_open:
                return
            self.is_open = False
        try:
            self._close(int(linger * 1000))
        except BaseException:
            self.is_open = True  # Ctrl-C: what is still open can be closed yet
            raise
        if self._unheard is not None:
            self._unheard()

    def _close(self, milliseconds: int) -> None:
        for port in self.ports:
            if port.is_open and not self.abandoned:
                port.sweep(f"{self.name} ended before it received it")
            for address in port.addresses:
                if not port.binds:
                    self.hooks.port_disconnected(port.declared, address, self.tick())
        if self.gate is not None:
            for port in self.ports:
                self.gate.defer(lambda port=port: port.close(milliseconds))  # type: ignore[misc]
            return
        for port in self.ports:
            port.close(milliseconds)
        # Ctrl-C may have come at any line of `open`.
        if self._ears is not None:
            if self._hears_at and not self.abandoned and not self._ears.closed:
                self._ears.unbind(self._hears_at)
                self._hears_at = ""
            self._ears.close(linger=0)
        if self._voice is not None:
            self._voice.close(linger=0)

    def __enter__(self) -> Self:
        self.launch()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.join()
        self.cleanup()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"
