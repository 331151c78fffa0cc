"""The stage of a message grows by one where a server hands on, and nowhere else."""

from __future__ import annotations

import pytest
from builder import Build, message

import pylm_lab as lab
from pylm_lab import faults
from pylm_lab.scenarios import get
from pylm_lab.trace import Trace

STEPS = "server.foo next.foo"


def sentences(trace: Trace) -> list[str]:
    return [finding.sentence for finding in trace.check(only="stages")]


def handed(stage: int, *, function: str = STEPS, role: str = "inbound") -> Trace:
    """A publisher receives message 1 at stage 0 and hands it on, to a part or to a client."""
    build = Build().actor("server.Pub", "outbound", server="server").actor("next", role)
    build.actor("a", "worker").link("a:push", "server.Pub:in")
    build.port("server.Pub:out", "XPUB", "inproc://pub", binds=True, sends="message")
    build.port("next:sub", "SUB", "inproc://pub", receives="message")
    build.subscribe("next:sub", b"server", "server.Pub:out")
    build.cross("a:push", "server.Pub:in", message(1, function=function))
    last = message(1, function=function, stage=stage)
    return build.cross("server.Pub:out", "next:sub", b"server", last).end()


def test_where_a_publisher_hands_on_to_the_next_step_it_grows_by_one() -> None:
    assert sentences(handed(1)) == []
    for stage in (0, 2):
        assert sentences(handed(stage)) == [
            f"Pub received message 1 at stage 0, and sent it on at stage {stage}: where it is"
            " handed on to the next step, the stage grows by one."
        ]


def test_what_is_published_for_a_client_stays_at_its_stage() -> None:
    assert sentences(handed(0, role="client")) == []
    assert sentences(handed(1, role="client")) == [
        "Pub received message 1 at stage 0, and sent it on at stage 1: the stage grows only where a"
        " publisher hands on to the next step."
    ]


def test_a_message_with_one_function_may_be_led_elsewhere_at_the_same_stage() -> None:
    assert sentences(handed(0, function="server.foo")) == []
    assert sentences(handed(1, function="server.foo")) == []
    assert len(sentences(handed(2, function="server.foo"))) == 1


def test_where_it_is_not_known_who_receives_it_either_may_be() -> None:
    for stage in (0, 1):
        assert sentences(handed(stage, role="worker")) == []
    assert sentences(handed(2, role="worker")) == [
        "Pub received message 1 at stage 0, and sent it on at stage 2: the stage grows by one at"
        " most."
    ]


def test_whoever_hands_on_in_a_server_leaves_it_as_it_is() -> None:
    build = Build().master().run(1, until="worker1:pull")
    build.run(1, since="worker1:push", data=message(1, stage=4))
    assert sentences(build.end()) == [
        "worker1 received message 1 at stage 0, and sent it on at stage 4: the stage grows only"
        " where a publisher hands on to the next step."
    ]


def test_so_does_whoever_makes_others_of_it() -> None:
    build = Build().master().run(1, until="server.Pull:listen_to")
    for child in (2, 3):
        build.run(child, since="server.Pull:broker", data=message(child, parent=1, stage=1))
    assert sentences(build.end()) == [
        "Pull received a message at stage 0, and made messages 1.1 and 1.2 of it at stage 1: the"
        " stage grows only where a publisher hands on to the next step."
    ]


def test_nothing_changes_it_on_its_way() -> None:
    build = Build().master().run(1, until="server.WorkerPush:listen_to")
    build.run(1, since="worker1:pull", data=message(1, stage=4))
    assert sentences(build.end()) == [
        "Message 1 was at stage 0 when WorkerPush sent it, and at stage 4 when worker1 received it:"
        " nothing may change it on its way."
    ]


def test_a_message_begins_at_stage_0() -> None:
    build = Build().master().run(1, data=message(1, stage=1)).run(2, data=message(2, stage=1))
    assert sentences(build.end()) == [
        "client sent messages 1 and 2 at stage 1, but a message begins at stage 0."
    ]


def test_what_has_no_id_may_be_anybodys_bytes() -> None:
    build = Build().link("a:push", "b:pull").send("a:push", message(stage=3))
    assert build.receive("b:pull", message(stage=5)).end().check(only="stages") == []


def test_copies_of_a_message_are_not_taken_for_each_other() -> None:
    """Two come, one of them changed on its way, and both are sent on."""
    build = Build().link("a:push", "b:pull").link("b:push", "c:pull")
    first, second = message(1, clock=1), message(1, clock=2, stage=3)
    build.cross("a:push", "b:pull", first).cross("a:push", "b:pull", second)
    build.cross("b:push", "c:pull", message(1, clock=3))
    assert build.cross("b:push", "c:pull", message(1, clock=4, stage=3)).end().check() == []


@pytest.mark.parametrize(
    ("scenario", "link"),
    [
        ("pipeline", "server.Pub→Sub"),
        ("pipeline", "client→Pull"),
        ("tee", "server.Pub→pipeline.Sub"),
        ("sink", "sink.Pub→client"),
        ("server_hub", "WorkerPush→worker1"),
        ("single", "Pub→client"),
        ("scatter", "Pull→router"),
    ],
)
@pytest.mark.parametrize("seed", [None, 1])
def test_a_changed_stage_is_found_at_the_link_where_it_was_changed(
    scenario: str, link: str, seed: int | None
) -> None:
    made = get(scenario)
    fault = faults.corrupt(link, "stage", 7)
    with made.cluster(seed, faults=[fault]) as cluster:
        try:
            made.play(cluster)
        except lab.LabError as error:
            print(error)
    (finding,) = cluster.trace.check()
    source, target = link.split("→")
    assert finding.name == "stages"
    assert f"when {'the router' if source == 'router' else source} sent it" in finding.sentence
    ends = "the router" if target == "router" else target
    assert f"at stage 7 when {ends} received it" in finding.sentence
    assert finding.sentence.endswith("a rule changes the stage of the 1st message.")
