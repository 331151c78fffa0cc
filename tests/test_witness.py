"""What is installed to hear a process hears whatever begins to run in it, beside all others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import pylm_lab as lab
from pylm_lab import witness
from pylm_lab.explore import explore
from pylm_lab.hook import Hook, Hooks
from pylm_lab.servers import Master
from pylm_lab.trace import Recorder


class Heard(Recorder):
    """What was made, and whether it was closed."""

    def __init__(self, **about: Any) -> None:
        super().__init__(**about)
        self.closed = 0

    def close(self) -> None:
        """The run has ended."""
        self.closed += 1

    @property
    def ids(self) -> list[str]:
        """Who was heard."""
        return [actor.id for actor in self.trace.actors]


@pytest.fixture
def heard() -> Iterator[list[Heard]]:
    """All that was made while it is installed."""
    made: list[Heard] = []

    def make(**about: Any) -> Heard:
        made.append(Heard(**about))
        return made[-1]

    witness.install(make)
    yield made
    witness.install(None)


def test_who_leaves_while_another_one_is_made_holds_nobody_up(heard: list[Heard]) -> None:
    leave = witness.witness(Hooks())

    def make(**_: Any) -> Heard:
        leave()  # as where garbage is collected
        return Heard()

    witness._installed._factory = make  # type: ignore[union-attr]
    hooks = Hooks()
    thread = threading.Thread(target=witness.witness, args=(hooks,), daemon=True)
    thread.start()
    thread.join(8)
    assert not thread.is_alive()
    assert len([*hooks]) == heard[0].closed == 1


def test_where_nothing_is_installed_nobody_hears_and_messages_bear_no_id() -> None:
    hooks = Hooks()
    witness.witness(hooks, "somebody")()
    assert list(hooks) == []
    with Master("server") as master:
        assert not master.router.hooks.active


def test_a_cluster_is_heard_with_what_it_says_of_itself_and_by_its_own_recorder(
    heard: list[Heard],
) -> None:
    own = lab.scenarios["parallel"].run(seed=3)
    [one] = heard
    assert one.trace == own
    assert (one.trace.seed, one.trace.clock, one.closed) == (3, "step", 1)


def test_each_cluster_has_a_record_of_its_own(heard: list[Heard]) -> None:
    for seed in (1, 2):
        lab.scenarios["parallel"].run(seed=seed)
    assert [one.trace.seed for one in heard] == [1, 2]


def test_what_was_broken_before_the_start_is_heard_as_well(heard: list[Heard]) -> None:
    broken = [lab.faults.drop("Pull->router", nth=2)]
    with lab.Cluster(seed=1, faults=broken) as cluster:
        cluster.add(Master("server"))
        cluster.client("server").get("name")
    assert [decision.kind for decision in cluster.trace.decisions][:1] == ["inject"]
    assert heard[0].trace.decisions == cluster.trace.decisions


def test_what_runs_by_itself_shares_a_record(heard: list[Heard]) -> None:
    with Master("server") as master:
        place = master.bypass_components["Cache"].listen_to.address
        with lab.Client("server", place, name="asks") as client:
            client.get("name")
    [one] = heard
    assert one.ids[-1] == "asks"
    assert one.ids[0] == "server.router"
    assert not one.closed


def test_one_who_bears_an_id_that_is_heard_is_in_a_record_of_its_own(heard: list[Heard]) -> None:
    with Master("server") as master:
        place = master.bypass_components["Cache"].listen_to.address
        with lab.Client("server", place), lab.Client("server", place):
            pass
        with lab.Client("server", place):
            pass  # the first has gone: this one goes on in its place
    assert [one.ids.count("client") for one in heard] == [1, 1]
    assert len(heard[1].ids) == 1


def test_a_server_s_parts_are_in_one_record(heard: list[Heard]) -> None:
    with Master("server"), Master("server") as second:
        second.cache.set("a", b"b")
    assert [len(one.ids) for one in heard] == [len(second.actors)] * 2


def test_runs_that_explore_tries_are_not_heard(heard: list[Heard]) -> None:
    explore("parallel", lambda trace: [], budget=2)
    assert heard == []
    lab.scenarios["parallel"].run(seed=1)
    assert len(heard) == 1


def test_a_factory_that_fails_disturbs_nobody_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> Hook:
        raise OSError("no place")

    witness.install(fail)
    try:
        with Master("server") as master:
            assert master.is_running
    finally:
        witness.install(None)
    assert "no place" in caplog.text


def test_a_forked_child_is_heard_by_a_hook_of_its_own(
    heard: list[Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    master = Master("server")
    with master:
        pass
    # Nothing but its process id tells a child: it is this thread, with all its objects.
    monkeypatch.setattr(witness, "os", SimpleNamespace(getpid=lambda: 1))
    with master:
        pass
    assert [one.ids for one in heard] == [[actor.id for actor in master.actors]] * 2
    starts = [[event.what for event in one.trace.events].count("start") for one in heard]
    assert starts == [len(master.actors)] * 2


def test_what_ran_when_it_was_forked_is_heard_by_its_parent_s_hook_no_more(
    heard: list[Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = Hooks()
    witness.witness(hooks, "somebody")
    monkeypatch.setattr(witness, "os", SimpleNamespace(getpid=lambda: 1))
    witness.witness(hooks, "somebody")
    assert list(hooks) == heard[1:]
