"""The exercises: right answers pass, and each wrong one is told in words what is wrong with it."""

from __future__ import annotations

import pytest

import pylm_lab as lab
from pylm_lab.course import exercises
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
    assert list(exercises()) == ["master"]
    for text in exercises().values():
        assert text.endswith(".")
