"""The exercises: right answers pass, and each wrong one is told in words what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import pylm_lab as lab
from pylm_lab.course import exercises
from pylm_lab.course.trace import runs
from pylm_lab.parts.services import (
    CacheService,
    PubService,
    PullService,
    WorkerPullService,
    WorkerPushService,
)


def a_master(
    pull: str = "WorkerPush", worker_pull: str = "Pub", without: str = ""
) -> lab.ServerTemplate:
    server = lab.ServerTemplate(name="server")
    server.register_inbound(PullService, "Pull", route=pull)
    if without != "WorkerPull":
        server.register_inbound(WorkerPullService, "WorkerPull", route=worker_pull)
    server.register_outbound(WorkerPushService, "WorkerPush")
    if without != "Pub":
        server.register_outbound(PubService, "Pub")
    if without != "Cache":
        server.register_bypass(CacheService, "Cache")
    return server


def test_a_right_master_passes_as_a_server_and_as_a_function_and_twice() -> None:
    server = a_master()
    first = lab.check("master", server)
    assert first
    assert repr(lab.check("master", server)) == repr(first)
    assert repr(lab.check("master", a_master)) == repr(first)
    assert "worker1 → WorkerPull → router → Pub → client" in repr(first)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pull": ""}, "no row for what comes from Pull"),
        ({"worker_pull": ""}, "no row for what comes from WorkerPull"),
        ({"pull": "Pub"}, "10 messages came back as they were sent"),
        ({"worker_pull": "WorkerPush"}, "go round without end"),
        ({"pull": "WokerPush"}, "did you mean 'WorkerPush'"),
        ({"without": "Cache"}, "has no cache service"),
        ({"without": "Pub", "worker_pull": ""}, "pub_address"),
        ({"without": "WorkerPull"}, "worker_pull_address"),
    ],
)
def test_a_wrong_master_is_told_what_is_wrong(wrong: dict[str, str], words: str) -> None:
    verdict = lab.check("master", lambda: a_master(**wrong))
    assert not verdict
    assert words in " ".join(verdict.sentences)
    assert repr(verdict).startswith("master: not yet\n")


def test_a_verdict_shows_where_the_messages_went_in_words_and_as_a_picture() -> None:
    verdict = lab.check("master", a_master(pull=""))
    assert verdict.journeys == ("10 messages (1, 2, … 10): client → Pull → router",)
    shown = verdict._repr_mimebundle_()
    assert "client → Pull → router" in shown["text/html"]
    assert 'src="data:image/png;base64,' in shown["text/html"]
    assert shown["text/plain"] == repr(verdict)


def test_an_answer_of_another_kind_and_an_unknown_exercise_are_clear_errors() -> None:
    with pytest.raises(lab.LabError, match="asks for a server, or a function that makes one, not"):
        lab.check("master", 3)
    with pytest.raises(lab.LabError, match="'maser': did you mean 'master'"):
        lab.check("maser", a_master())


def test_every_exercise_says_what_it_asks() -> None:
    assert list(exercises()) == ["master", "parts", "trace"]
    for text in exercises().values():
        assert text.endswith(".")


# Sorting parts

SORTED = {
    "PullService": "service, standard, inbound, not blocking",
    "PubService": ("service", "standard", "outbound", "not blocking"),
    "CacheService": "service,bypass,inbound,blocking",
}


def test_sorted_parts_are_compared_with_what_the_classes_say() -> None:
    assert lab.check("parts", SORTED)
    assert lab.check("parts", lambda: SORTED)
    assert "All 3 parts say the same" in repr(lab.check("parts", SORTED))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("connection, bypass, inbound, blocking", "look again at 'connection': who binds"),
        ("service, standard, inbound, blocking", "look again at 'standard': does it have a wire"),
        ("service, bypass, inbound, waits", "'waits' is neither 'blocking' nor 'not blocking'"),
        ("service, bypass", "4 questions, and 'service, bypass' answers another number"),
        (7, "4 questions, and 7 answers"),
    ],
)
def test_a_part_sorted_wrongly_is_named_with_the_question_to_look_at(
    words: object, told: str
) -> None:
    verdict = lab.check("parts", {**SORTED, "CacheService": words})
    assert not verdict
    assert verdict.sentences[0].startswith("CacheService: ")
    assert told in verdict.sentences[0]
    assert verdict.sentences[-1] == "2 of 3 are right."


def test_many_parts_sorted_wrongly_are_counted() -> None:
    from pylm_lab.parts import catalog

    verdict = lab.check("parts", {one.name: "service, standard, inbound, ?" for one in catalog()})
    assert len(verdict.sentences) == 5
    assert verdict.sentences[3].endswith("more to look at again.")


def test_what_is_no_table_of_parts_and_a_part_that_is_none_are_clear_errors() -> None:
    with pytest.raises(lab.LabError, match="asks for a dict, not for"):
        lab.check("parts", "PullService")
    with pytest.raises(lab.LabError, match="no part 'PulService': did you mean 'PullService'"):
        lab.check("parts", {"PulService": SORTED["PullService"]})


# What a trace can tell


def the_last_to_have_them(trace: lab.Trace) -> dict[str, str]:
    found = {}
    for message in trace.messages:
        if not message.answered:
            last = message.hops[-1]
            found[message.number] = trace.labels[
                last.source if last.received is None else last.target
            ]
    return found


def test_what_became_of_messages_is_asked_of_runs_in_which_different_things_go_wrong() -> None:
    assert [the_last_to_have_them(trace) for trace in runs()] == [
        {"4": "WorkerPush"},
        {},
        {"2": "Pub"},
        {"3": "Pull"},
        {"2": "WorkerPush", "4": "WorkerPush"},
    ]
    # Who only looks whether something is wrong, is wrong about two of them.
    assert [bool(trace.check()) for trace in runs()] == [True, True, True, False, True]
    assert runs() == runs()


def test_whoever_says_what_became_of_the_messages_passes_by_numbers_messages_ids_and_labels() -> (
    None
):
    first = lab.check("trace", the_last_to_have_them)
    assert first
    assert repr(lab.check("trace", the_last_to_have_them)) == repr(first)

    def by_messages_and_ids(trace: lab.Trace) -> dict[object, str]:
        ids = {label: id for id, label in trace.labels.items()}
        told = the_last_to_have_them(trace).items()
        return {trace.messages[number]: ids[label] for number, label in told}

    assert lab.check("trace", by_messages_and_ids)
    assert lab.check(
        "trace", lambda trace: {int(n): who for n, who in the_last_to_have_them(trace).items()}
    )


def by_findings(trace: lab.Trace) -> dict[str, str]:
    """All that is wrong with a run is not what never came back."""
    found = {}
    for finding in trace.check("conservation"):
        for n in finding.hops:
            found[trace.numbers[trace.hops[n].message]] = trace.hops[n].source
    return found


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda trace: {}, "Run 1 of 5: 1 of its 4 messages never came back"),
        (lambda trace: {"1": "Pull"}, "Message 1 did come back to who asked"),
        (lambda trace: {4: "worker2"}, "Message 4 was sent to worker2. Has worker2 received it?"),
        (lambda trace: {4: "router"}, "Message 4 was with router, and went on from there"),
        (lambda trace: {4: "Cache"}, "Message 4 was never sent to Cache"),
        (lambda trace: {4: "Pul"}, "Nobody in it is called 'Pul'; did you mean 'Pull'?"),
        (lambda trace: {4: 7}, "Nobody in it is called 7"),
        (lambda trace: {5: "Pull"}, "There is no message 5 in it: it has 1, 2, 3, 4."),
        (lambda trace: None, "Your function gave None, and not a dict like"),
        (lambda trace: trace.nothing, "has no attribute 'nothing' (line "),
        (by_findings, "Run 2 of 5: Message 1 did come back"),
        (
            lambda trace: the_last_to_have_them(trace) if trace.check() else {},
            "Run 4 of 5: 1 of its 4 messages never came back, and your function does not say so. "
            "No invariant is broken in it.",
        ),
    ],
)
def test_whoever_is_wrong_about_a_run_is_told_what_to_ask_and_given_the_run(
    wrong: Callable[[lab.Trace], object], words: str
) -> None:
    verdict = lab.check("trace", wrong)
    assert not verdict
    assert words in " ".join(verdict.sentences)
    assert verdict.trace in runs()


def test_a_verdict_about_a_trace_does_not_tell_who_had_a_message_last() -> None:
    for wrong in (lambda trace: {}, lambda trace: {4: "worker2"}, lambda trace: {4: "Cache"}):
        assert "WorkerPush" not in repr(lab.check("trace", wrong))


def test_what_is_no_function_of_a_trace_is_a_clear_error() -> None:
    with pytest.raises(lab.LabError, match=r"'trace' asks for a function, not for {'4': 'Pull'}"):
        lab.check("trace", {"4": "Pull"})
