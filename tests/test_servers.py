"""Servers and workers: what is declared, how they start, what may be called, how they end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading

import pytest
import zmq

from pylm_lab.errors import AddressError, PayloadError, RunError, WiringError
from pylm_lab.hook import Hook
from pylm_lab.parts.messages_pb2 import PalmMessage
from pylm_lab.parts.servers import ServerTemplate
from pylm_lab.parts.services import CacheService, PubService, PullService, PushService
from pylm_lab.servers import Master, Worker


def test_a_route_that_names_no_part_is_found_before_anything_starts() -> None:
    server = ServerTemplate(name="server")
    server.register_inbound(PullService, "Pull", "inproc://pull", route="Psuh")
    server.register_outbound(PushService, "Push", "inproc://push")
    with pytest.raises(WiringError, match="did you mean 'Push'"):
        server.start()
    assert not server.is_running


@pytest.mark.parametrize("method", ["register_inbound", "register_outbound", "register_bypass"])
def test_two_parts_of_one_name_are_refused(method: str) -> None:
    kinds = {
        "register_inbound": PullService,
        "register_outbound": PushService,
        "register_bypass": CacheService,
    }
    server = ServerTemplate(name="server")
    server.register_bypass(CacheService, "Same")
    with pytest.raises(WiringError, match="two parts are called 'Same'"):
        getattr(server, method)(kinds[method], "Same")


def test_a_part_of_the_wrong_direction_is_refused() -> None:
    server = ServerTemplate(name="server")
    with pytest.raises(WiringError, match="'PullService' is no Outbound class"):
        server.register_outbound(PullService, "Pull")  # type: ignore[arg-type]
    with pytest.raises(WiringError, match="register_inbound"):
        server.register_bypass(PullService, "Pull")


def test_an_address_in_use_is_named_and_nothing_is_left_half_open() -> None:
    with zmq.Context() as context, context.socket(zmq.PULL) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        server = Master("server", pull_address=f"tcp://127.0.0.1:{port}")
        with pytest.raises(
            AddressError, match=rf"server.Pull:listen_to can't bind .*:{port}: .*in use"
        ) as caught:
            server.start()
    # A script that ends with it prints nothing else.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_address_that_is_none_says_how_they_look() -> None:
    with pytest.raises(AddressError, match=r"'nonsense'.*tcp://127\.0\.0\.1:5555"):
        Master("server", pub_address="nonsense").start()


def test_a_cache_can_be_preset_with_text_and_bytes_only() -> None:
    server = Master("server")
    server.preset_cache(greeting="grüezi", raw=b"\xff")
    assert server.cache.get("greeting") == "grüezi".encode()
    assert server.cache.get("raw") == b"\xff"
    with pytest.raises(PayloadError, match="'count' is int"):
        server.preset_cache(count=3)  # type: ignore[arg-type]


def test_a_started_server_tells_its_name_and_addresses_in_its_cache() -> None:
    server = Master("server", pub_address="tcp://127.0.0.1:*")
    with server:
        assert server.cache.get("name") == b"server"
        for key in ("pull_address", "pub_address", "worker_pull_address", "worker_push_address"):
            address = server.cache.get(key)
            assert address is not None
            assert address.startswith(b"tcp://127.0.0.1:")
            assert not address.endswith(b"*")


def test_a_server_can_be_started_again() -> None:
    server = Master("server")
    for _ in range(3):
        with server:
            assert server.is_running
        assert not server.is_running


def test_two_servers_of_one_name_share_a_process() -> None:
    with Master("server"), Master("server"):
        pass


def test_nothing_can_be_registered_or_attached_once_it_has_started() -> None:
    server = Master("server")
    with server:
        with pytest.raises(RunError, match="register Late before"):
            server.register_inbound(PullService, "Late")
        with pytest.raises(RunError, match="attach hooks before"):
            server.attach(Hook())


def test_a_part_that_fails_ends_its_server_which_says_why() -> None:
    class Broken(PullService):
        def run(self) -> None:
            raise ZeroDivisionError("planned")

    server = ServerTemplate(name="server")
    server.register_inbound(Broken, "Pull")
    with pytest.raises(ZeroDivisionError, match="planned"):
        server.start()
    assert isinstance(server.reason, ZeroDivisionError)


def test_start_blocks_and_a_stop_from_another_thread_ends_it() -> None:
    server = Master("server")
    names = []
    thread = threading.Thread(target=lambda: names.append(server.start()))
    thread.start()
    while not server.is_running:
        thread.join(0.01)
    assert server.stop()
    thread.join(5)
    assert names == [b"server"]


SCRIPT = """
import sys
from pylm_lab.servers import Master
class Loud(Master):
    def launch(self):
        super().launch()
        print("up", flush=True)
Loud("server").start()
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_one_ctrl_c_ends_a_script(capfd: pytest.CaptureFixture[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert errors == ""


# Workers


class Shop(Worker):
    """A worker with all kinds of methods."""

    def sell(self, payload: bytes) -> bytes:
        """Return the payload backwards."""
        return payload[::-1]

    def fail(self, payload: bytes) -> bytes:
        """Fail."""
        raise ValueError("no")

    def text(self, payload: bytes) -> str:
        """Return what is no payload."""
        return "text"

    def _private(self, payload: bytes) -> bytes:
        return b"secret"

    number = 3


def call(function: str, payload: bytes = b"abc", stage: int = 0) -> bytes:
    worker = Shop("shop")
    (answer,) = worker.answers(PalmMessage(function=function, payload=payload, stage=stage))
    return answer.payload


def test_a_worker_runs_the_method_that_the_message_names() -> None:
    assert call("server.sell") == b"cba"
    assert call("server.echo") == b"abc"
    assert call("first.fail second.sell", stage=1) == b"cba"


@pytest.mark.parametrize("function", ["server.fail", "server.text", "server.absent", "", "a b c d"])
def test_what_can_not_be_done_is_answered_with_a_zero_and_logged_once(
    function: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "pylm_lab"):
        assert call(function) == b"0"
    assert len(caplog.records) == 1


def test_only_public_methods_of_the_user_s_own_class_may_be_called() -> None:
    allowed = {name for name in dir(Shop) if Shop("shop").function(name) is not None}
    assert allowed == {"sell", "fail", "text", "echo"}


def test_a_stage_beyond_the_functions_is_refused() -> None:
    assert call("server.sell", stage=5) == b"0"
    assert call("server.sell", stage=-1) == b"0"


def test_a_worker_without_a_server_says_what_it_needs() -> None:
    with pytest.raises(WiringError, match="db_address"):
        Worker("lonely").launch()


def test_a_publisher_can_be_declared_without_running() -> None:
    seen: list[str] = []

    class Names(Hook):
        def actor_declared(self, actor: object) -> None:
            seen.append(actor.id)  # type: ignore[attr-defined]

        def route_declared(self, route: object) -> None:
            seen.append(f"{route.source} -> {route.target}")  # type: ignore[attr-defined]

    server = ServerTemplate(name="server")
    server.register_inbound(PullService, "Pull", route="Pub")
    server.register_outbound(PubService, "Pub")
    server.declare(Names())
    assert seen == [
        "server.router",
        "server.Pull -> server.Pub",
        "server.Pull",
        "server.Pub",
    ]
