"""Sealed messages are read once, and only by the ends of their session or audience."""

from __future__ import annotations

import random

import pytest

from kju.errors import PeerError
from kju.wire.messages import MAX_MESSAGE
from kju.wire.seal import GroupSeal, KeyExchange, MemberSeal, Seal

pytest.importorskip("cryptography")


def pair(said: bytes = b"hello", heard: bytes = b"hello") -> tuple[Seal, Seal]:
    """Return the seals of a viewer and of a sender."""
    one, two = KeyExchange(), KeyExchange()
    return (
        one.agree(two.public, said, viewer=True),
        two.agree(one.public, heard, viewer=False),
    )


def test_the_two_ends_read_each_other() -> None:
    viewer, sender = pair()
    for size in (0, 1, 100, MAX_MESSAGE):
        data = random.Random(size).randbytes(size)
        for one, two in ((viewer, sender), (sender, viewer)):
            sealed = one.close(data)
            assert len(sealed) == size + 22
            assert two.open(sealed) == data
            with pytest.raises(PeerError):
                one.open(sealed)  # what it said itself, sent back
    assert viewer.close(b"the same") != viewer.close(b"the same")


def test_changed_message_is_rejected() -> None:
    viewer, sender = pair()
    sealed = viewer.close(b"a key")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(PeerError):
            sender.open(bytes(changed))
    for length in range(len(sealed)):
        with pytest.raises(PeerError):
            sender.open(sealed[:length])
    with pytest.raises(PeerError, match="bytes"):
        sender.open(bytes(MAX_MESSAGE + 4096))
    assert sender.open(sealed) == b"a key"


def test_ends_with_different_greetings_do_not_agree() -> None:
    viewer, sender = pair(b"control", b"view")
    with pytest.raises(PeerError):
        sender.open(viewer.close(b"a key"))
    stranger, _ = pair()
    with pytest.raises(PeerError):
        sender.open(stranger.close(b"a key"))


def test_message_is_accepted_once_in_any_order() -> None:
    viewer, sender = pair()
    rng = random.Random(1)
    sealed = [viewer.close(b"%d" % number) for number in range(300)]
    order = [*range(300), *range(300)]
    rng.shuffle(order)
    taken = []
    for number in order:
        try:
            taken.append(int(sender.open(sealed[number])))
        except PeerError as error:
            assert "before" in str(error)
    assert sorted(taken) == list(range(300))


def test_only_the_sender_can_send_to_an_audience() -> None:
    group = GroupSeal()
    early = MemberSeal(group.ticket)
    sealed = [group.close(b"%d" % number) for number in range(3)]
    assert [early.open(each) for each in sealed] == [b"0", b"1", b"2"]
    late = MemberSeal(group.ticket)
    with pytest.raises(PeerError, match="before"):
        late.open(sealed[2])  # somebody plays an older picture to who has just come
    assert late.open(group.close(b"3")) == b"3"
    # A member of the audience has the key, and sends in the sender's name.
    forger = GroupSeal()
    forger._key, forger._cipher = group._key, group._cipher
    forger._number = 100
    with pytest.raises(PeerError, match="not signed by the sender"):
        early.open(forger.close(b"forged"))
    assert early.open(group.close(b"4")) == b"4"


@pytest.mark.parametrize("ticket", [b"", bytes(69), bytes(71)])
def test_an_invalid_ticket_is_an_error(ticket: bytes) -> None:
    with pytest.raises(PeerError, match="ticket"):
        MemberSeal(ticket)


@pytest.mark.parametrize("data", [b"", bytes(5), bytes(22), bytes(100), b"\xff" * 200])
def test_an_audience_rejects_foreign_messages(data: bytes) -> None:
    with pytest.raises(PeerError):
        MemberSeal(GroupSeal().ticket).open(data)
