"""Functions: which methods of a user's class a message may call, and the call itself.

1. A message may call the public methods that the user's class defines, and `echo`. A name that a
   class of the library has too is refused, whoever defines it.
2. A call that fails is the trouble of its message alone: it is logged once, answered with `b'0'`
   and the field `error`, and whoever ran it goes on.
3. An answer tells what failed, and in which line; no path, no traceback, no object's address.
"""

from __future__ import annotations

import functools
import inspect
import re
import time
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from pylm_lab.arguments import nearest
from pylm_lab.parts.messages_pb2 import PalmError, PalmMessage
from pylm_lab.schedule import Stopped
from pylm_lab.waits import Wait

if TYPE_CHECKING:
    from pylm_lab.schedule import Gate

__all__ = ["FAILED", "Functions"]

#: The payload of an answer to a call that failed.
FAILED = b"0"

#: Characters of an error's text, and of a function's name, that an answer tells.
_TEXT = 1000
_NAME = 200
#: Absolute paths, of which the last element stays.
_QUOTED_PATH = re.compile(r"""(['"])(?:[A-Za-z]:)?[\\/](?:(?!\1).)*[\\/]((?:(?!\1)[^\\/])*)\1""")
_PATH = re.compile(
    r"""(?<![\w.:/\\])(?:[A-Za-z]:)?[\\/]+(?:[^\s\\/'":;,()]+[\\/]+)+([^\s\\/'":;,()]*)"""
)
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
#: What a class holds as a method; the last two are not themselves callable.
_METHODS = (
    FunctionType,
    staticmethod,
    classmethod,
    functools.partialmethod,
    functools.singledispatchmethod,
)
_END = object()


class Functions:
    """Whoever runs functions of a user's class because messages say so.

    It is mixed into a class that has `id`, `logger` and `gate` (None in a free run). A class of the
    library says `machinery=True` where it derives from it: then no message can call what that class
    or a base of it defines.

    `message` is the message at hand.
    """

    id: str
    logger: Any
    gate: Gate | None

    # For classes of the library to set. What has no underscore is no name for a user's function.
    #: A function may be a generator, which gives none, one or many results.
    _yields: ClassVar[bool] = False
    #: A function that returns None answers nothing; else that is a failed call.
    _drops_none: ClassVar[bool] = False
    _machinery: ClassVar[frozenset[type]] = frozenset()
    _reserved: ClassVar[frozenset[str]] = frozenset()
    #: The function of the user's that runs, and since when.
    _works: tuple[str, int] | None = None

    def __init_subclass__(cls, *, machinery: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        kinds = {kind for base in cls.__mro__ for kind in getattr(base, "_machinery", ())}
        cls._machinery = frozenset(kinds.union(cls.__mro__ if machinery else ()))
        names = {name for kind in cls._machinery for name in vars(kind)}
        cls._reserved = frozenset(names - {"echo"})

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.message = PalmMessage()

    def echo(self, payload: bytes) -> bytes:
        """Return the payload."""
        return payload

    def function(self, name: str) -> Callable[[bytes], Any] | None:
        """The function that a message may call by this name, or None."""
        if name[:1] == "_" or name in self._reserved or name in vars(self):
            return None
        for kind in type(self).__mro__:
            if name in vars(kind):
                return getattr(self, name) if _is_method(vars(kind)[name]) else None
        return None

    def answers(self, message: PalmMessage, own: str = "") -> Iterator[PalmMessage]:
        """Call the function that the message names; give what comes of it, as messages.

        One result is put into the message itself, each of several into a copy of it. All but the
        payload stays as it is, fields of other versions too. If a call failed, the payload is
        `b'0'`, and `error` tells why; a generator that fails has its results until then.

        Args:
            message: what came in.
            own: run only what is asked of the server of this name; empty: of any.
        """
        self.message = message
        steps, stage = message.function.split(), message.stage
        step = steps[stage] if 0 <= stage < len(steps) else ""
        server, _, name = step.rpartition(".")
        function = self.function(name) if server == own or not own else None
        if function is None:
            message.payload = self._refused(message, step, own)
            yield message
            return
        try:
            self._works = name, self._moment()
            result = function(message.payload)
        except (KeyboardInterrupt, Stopped):
            raise
        except BaseException as error:  # noqa: BLE001 - exit() too ends a call, and not who runs it
            result = self._failed(message, step, error, function)
        finally:
            self._works = None
        if isinstance(result, bytes):
            message.payload = result
            yield message
        elif result is None and self._drops_none:
            return
        elif self._yields and _gives_several(result):
            yield from self._each(message, step, function, result)
        else:
            message.payload = self._wrong(message, step, "returned", result)
            yield message

    def _each(
        self, message: PalmMessage, step: str, function: Callable[..., Any], results: Iterable[Any]
    ) -> Iterator[PalmMessage]:
        """A message for each result, until one fails."""
        name = step.rpartition(".")[2]
        source = None
        fails = False
        try:
            while not fails:
                one = PalmMessage()
                try:
                    self._works = name, self._moment()
                    source = iter(results) if source is None else source
                    result = next(source, _END)
                    if result is _END:
                        return
                    one.CopyFrom(message)
                except (KeyboardInterrupt, Stopped):
                    raise
                except BaseException as error:  # noqa: BLE001 - as above
                    fails = True
                    one.CopyFrom(message)
                    result = self._failed(one, step, error, function)
                finally:
                    self._works = None
                if not isinstance(result, bytes):
                    fails = True
                    result = self._wrong(one, step, "gave", result)
                one.payload = result
                yield one
        finally:
            if isinstance(source, Generator):
                self._end(source, name)

    def _end(self, source: Generator[Any, Any, Any], name: str) -> None:
        """End a generator of the user's that may have more to give."""
        try:
            source.close()
        except (KeyboardInterrupt, Stopped):
            raise
        except BaseException:
            self.logger.exception("%s: %s failed when it was closed", self.id, name)

    def working(self, actor: str = "") -> Wait | None:
        """That a function of the user's runs, and how long already; None if none does.

        `actor` is who waits for it to return, unless it is the one that has the functions.
        """
        works = self._works
        if works is None:
            return None
        name, since = works
        lasting = float(self._moment() - since)
        what, who = f"its function {name} to return", actor or self.id
        if self.gate is None:
            return Wait(who, what, (), lasting / 1e9, "s")
        return Wait(who, what, (), lasting, "steps")

    def _moment(self) -> int:
        """The time by which it is told how long a function lasts: nanoseconds, or steps."""
        return time.monotonic_ns() if self.gate is None else self.gate.step

    # What can't be done

    def _failed(
        self, message: PalmMessage, step: str, error: BaseException, function: Callable[..., Any]
    ) -> bytes:
        """Log what a function of the user's raised, and tell it in the answer."""
        trace = error.__traceback__
        trace = trace and trace.tb_next  # the first frame is ours
        self.logger.error(
            "%s: %s failed", self.id, _visible(_short(step)), exc_info=(type(error), error, trace)
        )
        return self._tell(message, step, type(error).__name__, _text(error), _line(trace, function))

    def _wrong(self, message: PalmMessage, step: str, gave: str, result: object) -> bytes:
        """Log that a result is no payload, and tell it in the answer."""
        if isinstance(result, Coroutine):
            result.close()  # else it complains later that nobody has awaited it
        wanted = "bytes or a generator of them" if self._yields and gave == "returned" else "bytes"
        text = f"{_short(step.rpartition('.')[2])} {gave} {type(result).__name__}, not {wanted}"
        if isinstance(result, Generator) and not self._yields:
            text += ": derive from MuxWorker for functions that yield"
        self.logger.error("%s: %s", self.id, text)
        return self._tell(message, step, "TypeError", text)

    def _refused(self, message: PalmMessage, step: str, own: str) -> bytes:
        """Log that there is nothing to call, and tell it in the answer."""
        server, _, name = step.rpartition(".")
        kind = "UnknownFunction"
        if not step:
            asked = _short(message.function)
            text = f"the message names no function for stage {message.stage}: {asked!r}"
        elif own and server != own:
            kind = "WrongServer"
            text = f"this is {own!r}, and the message asks {_short(server)!r}"
        elif name[:1] != "_" and any(name in vars(kind) for kind in self._own_classes()):
            text = f"no message can call {_short(name)!r}: only a method can be called"
            if name in self._reserved or name in vars(self):
                text = f"{name!r} has a meaning of its own here: give the function another name"
        else:
            text = f"it has no function {_short(name)!r}: {nearest(_short(name), self._callable())}"
        self.logger.error("%s can't run %r: %s", self.id, _short(step), text)
        return self._tell(message, step, kind, text)

    def _own_classes(self) -> list[type]:
        """Those of its classes that are not the library's."""
        return [kind for kind in type(self).__mro__ if kind not in self._machinery]

    def _callable(self) -> list[str]:
        """The names that a message may call."""
        names = {name for kind in self._own_classes() for name in vars(kind)}
        return sorted(name for name in {*names, "echo"} if self.function(name) is not None)

    def _tell(self, message: PalmMessage, step: str, kind: str, text: str, line: int = 0) -> bytes:
        """Put the error into the message; returns the payload of a failed call."""
        # What failed first, at an earlier stage, is why the later ones fail.
        if not message.HasField("error"):
            told = PalmError(
                server=_plain(self.id),
                function=_short(step or message.function),
                kind=_plain(kind),
                text=_plain(text),
                line=line,
            )
            message.error.CopyFrom(told)
        return FAILED


def _is_method(value: object) -> bool:
    """What a class holds under a name is a method: it can be called, and binds to an instance."""
    if isinstance(value, _METHODS):  # the first of which is what they mostly are
        return True
    # Python 3.14 begins to bind what `partial` makes.
    if isinstance(value, functools.partial):
        return False
    return callable(value) and hasattr(type(value), "__get__")


def _gives_several(result: object) -> bool:
    return isinstance(result, Iterable) and not isinstance(result, str | bytearray | memoryview)


def _short(name: str) -> str:
    """A name out of a message, which may be of any length."""
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _visible(name: str) -> str:
    """A name for the log; what would act on a terminal as the escapes that Python writes."""
    return name if name.isprintable() else repr(name)[1:-1]


def _text(error: BaseException) -> str:
    """What an exception says, without paths and addresses."""
    try:
        text = str(error)[:_TEXT]
    except Exception:  # noqa: BLE001 - it is the user's, and can't even say what is wrong
        return ""
    text = _QUOTED_PATH.sub(r"\1\2\1", text)
    return _ADDRESS.sub("", _PATH.sub(r"\1", text))


def _plain(text: str) -> str:
    """The text as UTF-8 can tell it, which a message needs."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _line(trace: TracebackType | None, function: Callable[..., Any]) -> int:
    """The line at which a function of the user's was when it failed; 0: unknown."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    found = trace.tb_lineno if trace else 0
    while trace is not None:
        if trace.tb_frame.f_code is code:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found or 0
