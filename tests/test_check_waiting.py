"""Nobody waits for ever: who asked and was not answered is found; who is merely idle is not."""

from __future__ import annotations

from contextlib import suppress

import pytest
from builder import Build, message
from planted import recorded

import pylm_lab as lab
from pylm_lab import faults
from pylm_lab.errors import LabError
from pylm_lab.parts.services import CacheService
from pylm_lab.trace import Trace


def sentences(trace: Trace) -> list[str]:
    found = trace.check(only="waiting")
    assert all(finding.name == "waiting" and finding.hops for finding in found)
    return [finding.sentence for finding in found]


def asked(*ids: int) -> Build:
    """Requests that reach the cache, and get no answer."""
    build = Build().master()
    for id in ids:
        build.cross("client:db", "server.Cache:listen_to", message(id))
    return build


# ------------------------------------------------------------------------------------ who asks


def test_who_asked_and_was_never_answered_is_named_with_whoever_kept_silent() -> None:
    trace = asked(9).end()
    (finding,) = trace.check()
    assert (finding.name, finding.sentence) == (
        "waiting",
        "client waited in vain for an answer to request r1: Cache received what was asked and gave"
        " no answer.",
    )
    assert [trace.hops[n].link for n in finding.hops] == [("client", "server.Cache")]


def test_what_was_asked_and_never_received_is_named() -> None:
    assert sentences(Build().master().send("client:db", message(9)).end()) == [
        "client waited in vain for an answer to request r1: nobody received what was asked."
    ]


def test_several_of_one_asker_are_one_finding() -> None:
    assert sentences(asked(7, 8, 9).end()) == [
        "client waited in vain for an answer to requests r1, r2 and r3: Cache received what was"
        " asked and gave no answer."
    ]


def test_who_was_answered_or_has_not_asked_is_idle() -> None:
    build = asked(9).send("server.Cache:listen_to", b"value").receive("client:db", b"value")
    assert build.end().check() == []
    assert Build().master().run(1).end().check() == []


def test_while_the_run_goes_on_the_answer_may_come() -> None:
    build = asked(9)
    for actor in ("server.Cache", "client"):
        assert build.trace.check() == []
        build.hook.actor_stopped(actor, build.tick())
    assert len(sentences(build.trace)) == 1


def test_an_answer_that_comes_too_late_is_an_answer() -> None:
    build = asked(8)
    build.send("client:db", message(9)).send("server.Cache:listen_to", b"late")
    build.receive("server.Cache:listen_to", message(9)).send("server.Cache:listen_to", b"value")
    build.drop("client:db", b"late", cause="it answers an earlier question")
    build.receive("client:db", b"value")
    assert build.end().check() == []


def test_an_answer_that_was_given_up_for_a_cause_is_not_waited_for() -> None:
    build = asked(9).drop("server.Cache:listen_to", b"value", cause="a rule")
    assert sentences(build.end()) == []


def test_where_nobody_is_known_who_could_answer_nothing_is_claimed() -> None:
    build = Build().actor("a", "client")
    build.port("a:ask", "REQ", "tcp://elsewhere:5", sends="request", receives="answer")
    assert build.send("a:ask", message(1)).end().check() == []


def test_who_failed_waits_no_more() -> None:
    build = asked(9)
    build.hook.actor_failed("client", ValueError("planted"), build.tick())
    assert [finding.name for finding in build.end().check()] == ["failures"]


def test_of_whom_was_asked_and_failed_the_failure_alone_is_found() -> None:
    build = asked(9)
    build.hook.actor_failed("server.Cache", ValueError("planted"), build.tick())
    (finding,) = build.end().check()
    assert finding.sentence == "Cache failed: ValueError: planted."


def test_of_what_a_fault_has_lost_the_loss_alone_is_found() -> None:
    for link in ("client→Cache", "Cache→client"):
        with lab.Cluster(1) as cluster, suppress(LabError):
            cluster.add(lab.Master("server"))
            client = cluster.client()
            cluster.inject(faults.drop(link))
            client.get("key")
        assert [finding.name for finding in cluster.trace.check()] == ["conservation"]


@pytest.mark.parametrize("seed", [None, 1])
def test_a_cache_that_keeps_silent_is_found_in_a_real_run(seed: int | None) -> None:
    class Silent(CacheService):
        """Keeps silent when it is asked for one key."""

        def recv(self, reply_data: bytes | None = None) -> bytes:
            asked = super().recv(reply_data)
            if b"the secret" in asked:
                self.next(())
            return asked

    def play(cluster: lab.Cluster) -> None:
        server = lab.ServerTemplate(name="server")
        server.register_inbound(lab.parts.services.PullService, "Pull", route="Pub")
        server.register_outbound(lab.parts.services.PubService, "Pub")
        server.register_bypass(Silent, "Cache")
        cluster.add(server)
        cluster.client("server", timeout=0.3).get("the secret")

    trace = recorded(play, seed)
    (finding,) = trace.check()
    assert (finding.name, finding.sentence) == (
        "waiting",
        "client waited in vain for an answer to request r4: Cache received what was asked and gave"
        " no answer.",
    )


def test_whoever_is_stopped_a_moment_after_it_asked_has_not_waited() -> None:
    """In a free run, where times are nanoseconds."""
    for waits, count in ((100_000_000, 0), (300_000_000, 1)):
        build = Build(clock="ns").master()
        build.cross("client:db", "server.Cache:listen_to", message(9))
        build.step += waits
        assert len(sentences(build.end())) == count


# ----------------------------------------------------------------------------- who deals to a pair


def dealt() -> Build:
    """A blocking part has handed message 1 to a worker, through a pair of sockets."""
    build = Build().actor("server.Deal", "outbound", server="server", blocks=True)
    build.actor("worker1", "worker")
    build.link("server.Deal:out", "worker1:pull").link("worker1:push", "server.Deal:back")
    return build.cross("server.Deal:out", "worker1:pull", message(1))


def test_a_blocking_part_that_hears_nothing_of_its_pair_is_named() -> None:
    assert sentences(dealt().end()) == [
        "Deal waited in vain for what was to come back for message 1: worker1 received it and sent"
        " nothing back."
    ]
    back = dealt().cross("worker1:push", "server.Deal:back", message(1))
    assert sentences(back.end()) == []


def test_of_what_its_pair_sent_and_was_lost_the_loss_alone_is_found() -> None:
    build = dealt().send("worker1:push", message(1))
    build.fault("server.Deal:back", "drop", message(1), why="a rule drops it")
    assert [finding.name for finding in build.end().check()] == ["conservation"]
    silently = dealt().send("worker1:push", message(1)).end()
    assert [finding.name for finding in silently.check()] == ["conservation"]


def test_a_part_that_does_not_block_waits_for_nobody() -> None:
    build = Build().actor("server.Push", "outbound", server="server")
    build.link("server.Push:out", "worker1:pull")
    assert build.cross("server.Push:out", "worker1:pull", message(1)).end().check() == []
