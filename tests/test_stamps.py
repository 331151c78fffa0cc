"""Stamps: who a message is, whose child it is, and where its ids come from."""

from __future__ import annotations

from pylm_lab import wire
from pylm_lab.stamps import Ids, Stamps


def some(**options: bool) -> Stamps:
    return Stamps(Ids(1, "a"), **{"originates": False, "carries": False, **options})


def came(id: int, clock: int) -> bytes:
    return wire.write_stamp(b"x", wire.Stamp(id=id, parent=0, clock=clock))


def put(stamps: Stamps, *batch: bytes) -> list[wire.Stamp]:
    frames = [[data] for data in batch]
    stamps.put(frames)
    found = [wire.read_stamp(data) for (data,) in frames]
    return [stamp for stamp in found if stamp]


def test_ids_come_from_the_seed_the_actor_and_the_count() -> None:
    one, same, other, seeded = Ids(1, "a"), Ids(1, "a"), Ids(1, "b"), Ids(2, "a")
    first = [one.text() for _ in range(3)]
    assert first == [same.text() for _ in range(3)]
    assert len({*first, other.text(), seeded.text()}) == 5
    assert {len(id) for id in first} == {16}
    assert Ids(None, "a").text() != Ids(None, "a").text()


def test_what_goes_on_keeps_its_id_and_every_further_copy_is_a_child() -> None:
    stamps = some()
    stamps.mark([[came(7, clock=10)]], ours=False)
    sent = put(stamps, *[came(7, clock=10)] * 3, b"made up")
    assert [stamp.parent for stamp in sent] == [0, 7, 7, 7]
    assert sent[0].id == 7
    assert len({stamp.id for stamp in sent}) == 4
    assert [stamp.clock for stamp in sent] == [12, 13, 14, 15]


def test_who_carries_a_message_leaves_its_stamp_alone_the_one_time() -> None:
    stamps = some(carries=True)
    stamps.mark([[came(7, clock=10)]], ours=False)
    first, second = put(stamps, *[came(7, clock=10)] * 2)
    assert first == wire.Stamp(7, 0, 10)
    assert (second.parent, second.clock) == (7, 12)


def test_what_one_who_originates_sends_is_nobody_s_child() -> None:
    stamps = some(originates=True)
    stamps.mark([[came(7, clock=10)]], ours=False)
    assert [(s.parent, s.clock) for s in put(stamps, b"one", b"two")] == [(0, 12), (0, 13)]


def test_messages_from_strangers_are_given_ids_each_its_own() -> None:
    batch = [[b"no stamp"], [came(7, clock=3)], [b"nor this"]]
    some().mark(batch, ours=False)
    one, known, other = (wire.read_stamp(data) for (data,) in batch)
    assert one
    assert known
    assert other
    assert known == wire.Stamp(7, 0, 3)
    assert len({one.id, known.id, other.id}) == 3
    assert [wire.strip_stamp(data) for (data,) in batch] == [b"no stamp", b"x", b"nor this"]


def test_what_has_not_left_is_the_first_again() -> None:
    stamps = some()
    stamps.mark([[came(7, clock=10)]], ours=False)
    frames = [[came(7, clock=10)]]
    stamps.put(frames)
    stamps.take_back(frames[0][0])
    assert [stamp.id for stamp in put(stamps, came(7, clock=10))] == [7]


def test_the_one_at_hand_is_the_parent() -> None:
    stamps = some()
    stamps.mark([[came(7, clock=1)], [came(8, clock=1)]], ours=True)
    stamps.at_hand(came(7, clock=1))
    assert [stamp.parent for stamp in put(stamps, b"made up")] == [7]
