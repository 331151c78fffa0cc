"""The stamp at a message's end, and the fields at its head, without protobuf."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from pylm_lab import wire
from pylm_lab.parts.messages_pb2 import PalmMessage, PalmTrace
from pylm_lab.wire import Head, Stamp

NUMBERS = st.integers(0, (1 << 64) - 1)
STAMPS = st.builds(Stamp, NUMBERS, NUMBERS, NUMBERS)
MESSAGES = st.builds(
    PalmMessage,
    pipeline=st.text(max_size=20),
    client=st.text(max_size=20),
    stage=st.integers(-(1 << 63), (1 << 63) - 1),
    function=st.text(max_size=200),
    cache=st.text(max_size=20),
    payload=st.binary(max_size=300),
)


@given(MESSAGES, STAMPS)
def test_a_stamp_is_read_replaced_and_removed(message: PalmMessage, stamp: Stamp) -> None:
    plain = message.SerializeToString()
    stamped = wire.write_stamp(plain, stamp)
    assert wire.read_stamp(plain) is None
    assert wire.read_stamp(stamped) == stamp
    assert wire.strip_stamp(stamped) == plain
    assert wire.strip_stamp(plain) == plain
    assert wire.write_stamp(stamped, Stamp(1, 2, 3)) == wire.write_stamp(plain, Stamp(1, 2, 3))


@given(
    st.one_of(
        MESSAGES.map(PalmMessage.SerializeToString),
        st.builds(lambda m, s: wire.write_stamp(m.SerializeToString(), s), MESSAGES, STAMPS),
        st.builds(lambda data, s: wire.write_stamp(data, s), st.binary(max_size=60), STAMPS),
        st.binary(max_size=200),
    )
)
@example(PalmMessage(payload=wire.write_stamp(b"", Stamp(1, 2, 3))).SerializeToString())
def test_all_is_read_at_once_as_piece_by_piece(data: bytes) -> None:
    for cut in (data, data[:-1], data[:20]):
        assert wire.read(cut) == (wire.read_stamp(cut), wire.fields(wire.strip_stamp(cut)))


@given(MESSAGES, STAMPS, st.binary(max_size=300))
def test_a_peer_that_knows_no_stamps_hands_it_on_at_the_end(
    message: PalmMessage, stamp: Stamp, payload: bytes
) -> None:
    received = PalmMessage.FromString(wire.write_stamp(message.SerializeToString(), stamp))
    received.payload = payload
    assert wire.read_stamp(received.SerializeToString()) == stamp


@given(MESSAGES, STAMPS)
def test_the_stamp_is_what_the_proto_file_says(message: PalmMessage, stamp: Stamp) -> None:
    stamped = wire.write_stamp(message.SerializeToString(), stamp)
    assert list(PalmTrace.FromString(stamped).stamp) == list(stamp)


@given(MESSAGES, STAMPS, STAMPS)
def test_a_payload_that_is_a_recorded_message_stays_as_it_is(
    inner: PalmMessage, old: Stamp, new: Stamp
) -> None:
    payload = wire.write_stamp(inner.SerializeToString(), old)
    plain = PalmMessage(function="server.foo", payload=payload).SerializeToString()
    assert wire.read_stamp(plain) is None
    stamped = wire.write_stamp(plain, new)
    assert wire.read_stamp(stamped) == new
    assert PalmMessage.FromString(stamped).payload == payload
    assert wire.strip_stamp(stamped) == plain


@pytest.mark.parametrize("size", [0, 97, 98, 16_000, 16_353, 16_354, 70_000])
def test_a_payload_of_any_length_may_end_like_a_stamp(size: int) -> None:
    payload = wire.write_stamp(b"x" * size, Stamp(1, 2, 3))
    plain = PalmMessage(payload=payload).SerializeToString()
    assert wire.read_stamp(plain) is None
    assert wire.read_stamp(wire.write_stamp(plain, Stamp(4, 5, 6))) == Stamp(4, 5, 6)


@pytest.mark.parametrize("data", [b"", b"no message", b"\xff" * 40, b"\x0f", b"\x32\x7fshort"])
def test_bytes_that_are_no_message_carry_a_stamp_all_the_same(data: bytes) -> None:
    assert wire.read_stamp(wire.write_stamp(data, Stamp(1, 2, 3))) == Stamp(1, 2, 3)
    assert wire.strip_stamp(wire.write_stamp(data, Stamp(1, 2, 3))) == data


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange_to_be_looked_at(data: bytes) -> None:
    wire.read_stamp(data)
    wire.strip_stamp(data)
    head = wire.fields(data)
    assert isinstance(head.function, str)
    assert isinstance(head.payload, bytes)


@given(MESSAGES)
def test_the_fields_are_those_that_protobuf_reads(message: PalmMessage) -> None:
    assert wire.fields(message.SerializeToString()) == Head(
        message.pipeline,
        message.client,
        message.stage,
        message.function,
        message.cache,
        message.payload,
    )


@given(MESSAGES, st.data())
def test_a_cut_message_tells_what_it_can(message: PalmMessage, data: st.DataObject) -> None:
    whole = message.SerializeToString()
    head = wire.fields(whole[: data.draw(st.integers(0, len(whole)))])
    assert message.payload.startswith(head.payload)
    assert head.stage in (0, message.stage)
    assert head.cache in ("", message.cache) or not head.payload


def test_fields_of_later_versions_are_passed_over() -> None:
    later = b"\x7a\x03new" + b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\x78\x96\x01"
    assert wire.fields(later + b"\x22\x05a.foo" + b"\x7b" + b"\x22\x05b.foo").function == "a.foo"


def test_text_that_is_no_utf_8_is_shown_with_escapes() -> None:
    assert wire.fields(b"\x22\x03a\xffb").function == "a\\xffb"


#: Fields that messages of a later version may have: before, between and behind those of today.
UNKNOWN = st.sampled_from(
    [b"", b"\x7a\x03new", b"\x79" + bytes(8), b"\x7d" + bytes(4), b"\x78\x96\x01", b"\xfa\x01\x01x"]
)
CHANGES = st.one_of(
    st.tuples(st.just("stage"), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.tuples(
        st.sampled_from(["pipeline", "client", "function", "cache"]),
        st.text(max_size=200) | st.text(max_size=20).map(str.encode),
    ),
    st.tuples(st.just("payload"), st.binary(max_size=300) | st.text(max_size=20)),
)


def with_field(message: PalmMessage, field: str, value: bytes | str | int) -> PalmMessage:
    """The message as protobuf itself changes it."""
    changed = PalmMessage()
    changed.CopyFrom(message)
    text = value.encode() if isinstance(value, str) else value
    if field == "payload":
        assert isinstance(text, bytes)
        changed.payload = text
    else:
        setattr(changed, field, text.decode() if isinstance(text, bytes) else text)
    return changed


@given(MESSAGES, STAMPS, UNKNOWN, CHANGES)
def test_one_field_is_replaced_and_nothing_else(
    message: PalmMessage, stamp: Stamp, unknown: bytes, change: tuple[str, bytes | str | int]
) -> None:
    plain = message.SerializeToString() + unknown
    changed = wire.replace(plain, *change)
    stamped = wire.replace(wire.write_stamp(plain, stamp), *change)
    assert stamped == wire.write_stamp(changed, stamp)
    assert wire.read_stamp(stamped) == stamp
    wanted = with_field(PalmMessage.FromString(plain), *change)
    assert PalmMessage.FromString(changed) == wanted
    assert PalmMessage.FromString(changed).SerializeToString() == wanted.SerializeToString()
    assert PalmMessage.FromString(stamped).payload == wanted.payload
    assert changed.endswith(unknown)


@given(MESSAGES, UNKNOWN, CHANGES, CHANGES)
def test_the_last_of_two_replacements_counts_and_the_field_is_there_once(
    message: PalmMessage,
    unknown: bytes,
    one: tuple[str, bytes | str | int],
    other: tuple[str, bytes | str | int],
) -> None:
    plain = unknown + message.SerializeToString()
    both = wire.replace(wire.replace(plain, *one), *other)
    assert PalmMessage.FromString(both) == with_field(
        with_field(PalmMessage.FromString(plain), *one), *other
    )
    assert wire.replace(both, *other) == both


@pytest.mark.parametrize("field", wire.FIELDS)
def test_a_field_that_comes_twice_is_replaced_as_a_whole(field: str) -> None:
    message = PalmMessage(
        pipeline="p", client="c", stage=2, function="server.foo", cache="k", payload=b"x"
    )
    twice = message.SerializeToString() * 2
    value: int | str = 7 if field == "stage" else "other"
    changed = PalmMessage.FromString(wire.replace(twice, field, value))
    assert changed == with_field(message, field, value)


@pytest.mark.parametrize(
    "data",
    [
        b"1",  # an acknowledgement
        b"128",
        b"no message",
        b"\x0f",
        b"\x08",
        b"\x32",
        b"\x32\x7fshort",
        b"\x39abc",
        b"\x3dab",
        b"\xff" * 12,
    ],
)
@pytest.mark.parametrize("field", ["pipeline", "payload"])
def test_bytes_that_are_no_message_have_no_field_to_replace(data: bytes, field: str) -> None:
    assert wire.replace(data, field, b"other") == data
    stamped = wire.write_stamp(data, Stamp(1, 2, 3))
    assert wire.replace(stamped, field, b"other") == stamped


@example(b"\x08\x00", ("pipeline", ""))  # the number of a field, and another type
@example(b"st", ("stage", 1))  # a group, which is empty
@example(b"s\x7b\x08\x01\x7ct", ("stage", 1))  # and one with another in it
@example(b"s" * 5_000, ("stage", 1))
@given(st.binary(max_size=60), CHANGES)
def test_no_bytes_are_too_strange_to_be_changed(
    data: bytes, change: tuple[str, bytes | str | int]
) -> None:
    try:
        message = PalmMessage.FromString(data)
    except DecodeError:
        wire.replace(data, *change)
    else:
        assert PalmMessage.FromString(wire.replace(data, *change)) == with_field(message, *change)
