"""Hooks: who listens hears, who does not costs nothing, who fails is removed."""

from __future__ import annotations

import inspect
import logging
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from pylm_lab.hook import Hook, Hooks, Port

PORT = Port(id="a:push", actor="a", socket="PUSH", binds=False, outer=True, sends="message")
#: What each event may be called with.
CALLS: dict[str, tuple[Any, ...]] = {
    "actor_declared": ("an actor",),
    "port_declared": (PORT,),
    "route_declared": ("a route",),
    "port_bound": (PORT, "inproc://a", 1),
    "port_connected": (PORT, "inproc://a", 2),
    "port_disconnected": (PORT, "inproc://a", 3),
    "topic_subscribed": (PORT, b"topic", 4),
    "topic_unsubscribed": (PORT, b"topic", 5),
    "subscription_seen": (PORT, b"topic", True, 6),
    "actor_started": ("a", 7),
    "actor_waiting": ("a", (PORT,), 8),
    "actor_stopped": ("a", 9),
    "actor_failed": ("a", ValueError("no"), 10),
    "hop_sent": (PORT, [b"m"], 11),
    "hop_received": (PORT, [b"m"], 12),
    "hop_dropped": (PORT, [b"m"], "a rule", 13),
    "fault_struck": ("a", PORT, [b"m"], "drop", "a rule drops it", 13),
    "decided": ("a decision",),
    "hops_sent": (PORT, [[b"k"], [b"n"]], 14),
    "hops_received": (PORT, [[b"k"], [b"n"]], [15, 16]),
}


class Listener(Hook):
    """Writes down hops that were sent."""

    def __init__(self, heard: list[Any] | None = None) -> None:
        self.heard = [] if heard is None else heard

    def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
        self.heard.append((self, at))


class Failing(Listener):
    def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
        super().hop_sent(port, frames, at)
        raise ValueError("the hook's own trouble")


def test_the_table_above_has_every_event() -> None:
    events = {n for n, f in vars(Hook).items() if inspect.isfunction(f) and not n.startswith("_")}
    assert events == set(CALLS)
    for name, arguments in CALLS.items():
        inspect.signature(getattr(Hook, name)).bind(Hook(), *arguments)


def test_a_hook_that_overrides_nothing_costs_nothing() -> None:
    hooks = Hooks([Hook(), Hook()])
    for event in CALLS:
        # The very same no-op as without any hook: there is nothing to loop over or to guard.
        assert getattr(hooks, event) is getattr(Hooks(), event)
        assert not hooks.hears(event)
    assert not hooks.active


@pytest.mark.parametrize("event", CALLS)
def test_an_event_reaches_who_overrides_it(event: str) -> None:
    heard: list[Any] = []
    listener = type("One", (Hook,), {event: lambda self, *arguments: heard.append(arguments)})()
    hooks = Hooks([Hook(), listener])
    assert getattr(Hook(), event)(*CALLS[event]) is None
    for name, arguments in CALLS.items():
        getattr(hooks, name)(*arguments)
    told = {
        "hop_sent": [(PORT, [b"k"], 14), (PORT, [b"n"], 14)],
        "hop_received": [(PORT, [b"k"], 15), (PORT, [b"n"], 16)],
    }
    assert heard == [CALLS[event], *told.get(event, [])]
    also = [event.replace("hop_", "hops_")] if event in told else []
    assert [name for name in CALLS if hooks.hears(name)] == [event, *also]
    assert hooks.active is event.startswith("hop")


def test_several_hooks_hear_in_the_order_in_which_they_were_added() -> None:
    heard: list[Any] = []
    first, second, third = (Listener(heard) for _ in range(3))
    hooks = Hooks([first, second])
    hooks.add(third)
    hooks.add(first)  # a second time changes nothing
    hooks.hop_sent(PORT, [b"m"], 1)
    assert heard == [(first, 1), (second, 1), (third, 1)]
    assert list(hooks) == [first, second, third]
    hooks.remove(second)
    hooks.remove(second)
    hooks.hop_sent(PORT, [b"m"], 2)
    assert heard[3:] == [(first, 2), (third, 2)]
    hooks.remove(first)
    hooks.remove(third)
    assert not hooks.active
    assert hooks.hop_sent is Hooks().hop_sent


def test_hooks_that_are_equal_are_two_all_the_same() -> None:
    @dataclass
    class Counting(Hook):
        count: int = 0

        def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
            self.count += 1

    one, other = Counting(), Counting()
    hooks = Hooks([one, other])
    hooks.hop_sent(PORT, [b"m"], 1)
    assert (one.count, other.count) == (1, 1)


def test_several_hooks_as_one_are_heard_each() -> None:
    inner = Hooks([Listener(), Listener()])
    hooks = Hooks([inner])
    hooks.hop_sent(PORT, [b"m"], 1)
    assert [len(hook.heard) for hook in inner if isinstance(hook, Listener)] == [1, 1]
    assert list(Hooks([*inner, inner])) == list(inner), "each of them once"


def test_a_function_set_on_a_hook_overrides_too() -> None:
    heard: list[int] = []
    hook = Hook()
    hook.hop_sent = lambda port, frames, at: heard.append(at)  # type: ignore[method-assign]
    Hooks([hook]).hop_sent(PORT, [b"m"], 5)
    assert heard == [5]


def test_what_is_no_hook_is_refused() -> None:
    with pytest.raises(TypeError, match="'something' is no Hook: derive it from"):
        Hooks().add("something")  # type: ignore[arg-type]


def test_a_failing_hook_is_removed_and_logged_once_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, failing, after = Listener(), Failing(), Listener()
    hooks = Hooks([before, failing, after])
    elsewhere = Hooks([failing])
    with caplog.at_level(logging.ERROR, "pylm_lab"):
        for at in (1, 2):
            hooks.hops_sent(PORT, [[b"m"]], at)
        elsewhere.hops_sent(PORT, [[b"m"]], 3)
    assert [at for _, at in failing.heard] == [1, 3]  # once in each place
    assert [len(hook.heard) for hook in (before, after)] == [2, 2]
    assert list(hooks) == [before, after]
    assert not elsewhere.active
    assert isinstance(failing.failed, ValueError)
    (record,) = caplog.records
    assert "failed in hops_sent and was removed" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is failing.failed


def test_a_hook_that_fails_in_many_threads_at_once_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    threads = 8
    together = threading.Barrier(threads)

    class Late(Hook):
        def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
            together.wait(timeout=10)
            raise ValueError(at)

    healthy, late = Listener(), Late()
    hooks = Hooks([late, healthy])
    calls = [
        threading.Thread(target=hooks.hop_sent, args=(PORT, [b"m"], at)) for at in range(threads)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join(timeout=10)
    assert len(caplog.records) == 1
    assert list(hooks) == [healthy]
    assert sorted(at for _, at in healthy.heard) == list(range(threads))


def test_two_hooks_that_fail_at_once_are_both_removed() -> None:
    together = threading.Barrier(2)

    class Late(Hook):
        def actor_started(self, actor: str, at: int) -> None:
            if self is late[int(actor)]:
                together.wait(timeout=10)
                raise ValueError(actor)

    late = [Late(), Late()]
    hooks = Hooks(late)
    calls = [threading.Thread(target=hooks.actor_started, args=(n, 1)) for n in ("0", "1")]
    for call in calls:
        call.start()
    for call in calls:
        call.join(timeout=10)
    assert list(hooks) == []


def test_an_interrupt_is_not_the_hooks_trouble() -> None:
    class Interrupted(Hook):
        def hop_sent(self, port: Port, frames: list[bytes], at: int) -> None:
            raise KeyboardInterrupt

    hooks = Hooks([Interrupted()])
    with pytest.raises(KeyboardInterrupt):
        hooks.hop_sent(PORT, [b"m"], 1)
    assert hooks.active
