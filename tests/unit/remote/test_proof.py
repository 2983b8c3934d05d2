"""Accepted peers, and the end of acceptance: known senders, routers, denied keys, new roles."""

from __future__ import annotations

import datetime
import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
from support.trusting import NAME, answer, asked, greet, home, make_user

from kju.errors import KjuError, PeerError, UsageError
from kju.remote import certificates, key_lists
from kju.remote.key_lists import KnownSender, KnownSenders
from kju.remote.proof import Authenticator, Prover
from kju.remote.trust import AuthenticatedPeer, Trust
from kju.wire.messages import SessionHello, decode_from_sender, encode

pytest.importorskip("cryptography")


def key_of(trust: Trust, stem: str = "host") -> str:
    """Return the fingerprint of a certificate in this folder."""
    return certificates.fingerprint(certificates.read((trust.folder / f"{stem}.pem").read_bytes()))


def another_host(lab: Trust, tmp_path: Path, name: str = "host2", kind: str = "host") -> Trust:
    """Return another host of the same authority, which admits ann too."""
    made = Trust(tmp_path / name)
    bundle = lab.host_bundle(name, [name], kind)  # type: ignore[arg-type]
    assert made.import_bundle(bundle) == (name, kind)
    made.set_role("ann", "control")
    return made


def mirror(prover: Prover, sender: Trust) -> str:
    """Begin a session of a mirror; return the authenticated name of the sender."""
    prove = prover()
    hello = SessionHello(1, "control", ["zstd"], 1000, "ann", prove.key)
    admission = asked(sender, hello)
    assert admission.challenge is not None
    assert admission.prove is not None
    proven = answer(prove, hello, admission.challenge)
    assert admission.prove(proven.proof)
    return proven.sender


# ---- which sender ----


def test_another_host_is_not_accepted_in_the_middle_of_a_mirror(lab: Trust, tmp_path: Path) -> None:
    ann, other = home(lab, "ann", tmp_path), another_host(lab, tmp_path)
    prover = Prover(ann, "ann", NAME)
    assert mirror(prover, lab) == "host1"
    with pytest.raises(PeerError, match="has changed"):
        mirror(prover, other)
    (ann.folder / "senders.json").unlink()
    with pytest.raises(PeerError, match="has changed"):
        mirror(prover, other)
    assert mirror(prover, lab) == "host1"


def test_a_changed_sender_is_refused_until_the_user_accepts_it(lab: Trust, tmp_path: Path) -> None:
    ann, other = home(lab, "ann", tmp_path), another_host(lab, tmp_path)
    assert mirror(Prover(ann, "ann", NAME), lab) == "host1"
    with pytest.raises(PeerError) as refused:
        mirror(Prover(ann, "ann", NAME), other)
    words, new = str(refused.value), KnownSender("host2", key_of(other))
    assert key_of(lab) in words
    assert f"kju cert sender zenoh:{NAME} host2 {new.key}" in words
    assert len(words) < 1000
    KnownSenders(ann.folder).remember(NAME, new)
    assert mirror(Prover(ann, "ann", NAME), other) == "host2"
    with pytest.raises(PeerError, match="has changed"):
        mirror(Prover(ann, "ann", NAME), lab)


def test_the_sender_that_the_user_names_is_the_only_one(lab: Trust, tmp_path: Path) -> None:
    ann, other = home(lab, "ann", tmp_path), another_host(lab, tmp_path)
    with pytest.raises(PeerError, match=r"'host2' \(key SHA256:.*\); --sender requires 'host1'"):
        mirror(Prover(ann, "ann", NAME, "host1"), other)
    assert KnownSenders(ann.folder).all() == {}
    assert mirror(Prover(ann, "ann", NAME, "host1"), lab) == "host1"
    # The same name with another key: somebody with the authority's key, or a lost one.
    twin = Trust(tmp_path / "twin")
    twin.import_bundle(lab.host_bundle("host1", ["host1"]))
    twin.set_role("ann", "control")
    with pytest.raises(PeerError, match="has changed"):
        mirror(Prover(ann, "ann", NAME, "host1"), twin)


def test_senders_are_known_for_each_screen(lab: Trust, tmp_path: Path) -> None:
    ann = home(lab, "ann", tmp_path)
    assert mirror(Prover(ann, "ann", NAME), lab) == "host1"
    known = KnownSenders(ann.folder)
    known.remember("lab/other", KnownSender("host2", "SHA256:x"))
    assert known.all()[NAME] == KnownSender("host1", key_of(lab))
    known.forget("lab/other")
    assert list(known.all()) == [NAME]
    assert stat.S_IMODE((ann.folder / "senders.json").stat().st_mode) == 0o600


def test_of_two_first_sessions_at_the_same_time_one_sender_is_accepted(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other mirror remembers its sender between this one's check and its change."""
    ann, other = home(lab, "ann", tmp_path), another_host(lab, tmp_path)
    change = key_lists.change_list

    def late(*arguments: Any) -> None:
        monkeypatch.setattr(key_lists, "change_list", change)
        assert mirror(Prover(ann, "ann", NAME), other) == "host2"
        change(*arguments)

    monkeypatch.setattr(key_lists, "change_list", late)
    with pytest.raises(PeerError, match="has changed from 'host2'"):
        mirror(Prover(ann, "ann", NAME), lab)
    assert KnownSenders(ann.folder).all() == {NAME: KnownSender("host2", key_of(other))}


def test_in_a_folder_that_cannot_be_written_the_sender_is_known_to_this_mirror(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The folder belongs to root; the service has another user."""
    with tempfile.TemporaryDirectory() as path, caplog.at_level(logging.WARNING):
        Path(path).chmod(0o555)
        prover = Prover(Trust(Path(path)), "ann", NAME)
        known = AuthenticatedPeer("host1", "SHA256:1", None)  # type: ignore[arg-type]
        other = AuthenticatedPeer("host2", "SHA256:2", None)  # type: ignore[arg-type]
        as_root = os.geteuid() == 0
        if as_root:
            os.seteuid(65534)
        try:
            prover.accept(known)
            prover.accept(known)
            with pytest.raises(PeerError, match="has changed"):
                prover.accept(other)
        finally:
            if as_root:
                os.seteuid(0)
        assert not [*Path(path).iterdir()]
        Path(path).chmod(0o755)
    assert len(caplog.records) == 1
    assert f"kju cert sender zenoh:{NAME} host1 SHA256:1" in caplog.text


def test_a_list_of_senders_that_cannot_be_read_admits_none(lab: Trust, tmp_path: Path) -> None:
    ann = home(lab, "ann", tmp_path)
    (ann.folder / "senders.json").write_text('{"senders": 3}')
    with pytest.raises(UsageError, match=r"senders\.json.*repair or remove"):
        mirror(Prover(ann, "ann", NAME), lab)


def test_a_renewed_certificate_has_the_same_key(lab: Trust, tmp_path: Path) -> None:
    ann = home(lab, "ann", tmp_path)
    assert mirror(Prover(ann, "ann", NAME), lab) == "host1"
    before, key = (lab.folder / "host.pem").read_bytes(), key_of(lab)
    lab.make_host("host1", ["127.0.0.1"])
    assert (lab.folder / "host.pem").read_bytes() != before
    assert key_of(lab) == key
    assert mirror(Prover(ann, "ann", NAME), lab) == "host1"


def test_a_router_proves_neither_a_sender_nor_a_viewer(lab: Trust, tmp_path: Path) -> None:
    ann, router = home(lab, "ann", tmp_path), another_host(lab, tmp_path, "router1", "router")
    assert router.tls(kind="router").certificate.endswith("router.pem")
    for suffix in ("pem", "key"):
        data = (router.folder / f"router.{suffix}").read_bytes()
        for path in (router.folder / f"host.{suffix}", ann.folder / f"user-ann.{suffix}"):
            path.touch(0o600)
            path.write_bytes(data)
    with pytest.raises(PeerError, match="router1 is for a router; a host"):
        mirror(Prover(ann, "ann", NAME), router)
    with pytest.raises(PeerError, match="router1 is for a router; a user"):
        greet(lab, ann)


def test_a_router_and_a_host_can_be_on_one_computer(lab: Trust) -> None:
    lab.make_host("host1", ["127.0.0.1"], "router")
    kinds = [
        certificates.kind_of(certificates.read((lab.folder / f"{stem}.pem").read_bytes()))
        for stem in ("host", "router", "user-ann")
    ]
    assert kinds == ["host", "router", "user"]
    assert key_of(lab) != key_of(lab, "router")


# ---- until when ----


def test_a_removed_users_old_key_stays_invalid(lab: Trust, tmp_path: Path) -> None:
    old = home(lab, "ann", tmp_path)
    lab.remove("ann")
    lab.set_role("ann", "control")
    with pytest.raises(PeerError, match="was denied"):
        greet(lab, old)
    make_user(lab, "ann")
    with pytest.raises(PeerError, match="was denied"):
        greet(lab, old)
    new = home(lab, "ann", tmp_path / "new")
    assert greet(lab, new) == ("control", True)


def test_a_key_that_was_never_seen_here_is_denied_with_its_user(lab: Trust, tmp_path: Path) -> None:
    """A second host has no users' certificates: it compares the time of the removal."""
    start = datetime.datetime.now(datetime.UTC)
    second = another_host(lab, tmp_path)
    old = home(lab, "ann", tmp_path)
    later = Trust(second.folder, lambda: start + datetime.timedelta(hours=1))
    later.remove("ann")
    later.set_role("ann", "control")
    with pytest.raises(PeerError, match="older than the removal of this user"):
        greet(later, old, sender="host2")
    lab.remove("ann")
    make_user(Trust(lab.folder, lambda: start + datetime.timedelta(hours=1, seconds=1)), "ann")
    new = home(lab, "ann", tmp_path / "new")
    new = Trust(new.folder, lambda: start + datetime.timedelta(hours=2))
    assert greet(later, new, sender="host2") == ("control", True)


def test_removing_a_user_denies_its_known_keys_despite_clock_differences(
    lab: Trust, tmp_path: Path
) -> None:
    """The authority's clock is ahead: the certificate seems newer than the removal."""
    start = datetime.datetime.now(datetime.UTC)
    second, old = another_host(lab, tmp_path), home(lab, "ann", tmp_path)
    assert greet(second, old, sender="host2") == ("control", True)
    behind = Trust(second.folder, lambda: start - datetime.timedelta(hours=1))
    behind.remove("ann")
    second.set_role("ann", "control")
    with pytest.raises(PeerError, match="was denied"):
        greet(second, old, sender="host2")


@pytest.mark.parametrize(("minutes", "is_accepted"), [(-6, False), (-4, True), (4, True)])
def test_a_new_certificate_is_accepted_if_the_clocks_differ_by_minutes(
    lab: Trust, tmp_path: Path, minutes: int, is_accepted: bool
) -> None:
    """The authority's clock differs from the clock of the host that has removed the user."""
    start = datetime.datetime.now(datetime.UTC)
    second = another_host(lab, tmp_path)
    host = Trust(second.folder, lambda: start + datetime.timedelta(hours=1))
    host.remove("ann")
    host.set_role("ann", "control")
    lab.remove("ann")
    issued = start + datetime.timedelta(hours=1, minutes=minutes)
    make_user(Trust(lab.folder, lambda: issued), "ann")
    new = home(lab, "ann", tmp_path / "new")
    new = Trust(new.folder, lambda: start + datetime.timedelta(hours=1))
    if is_accepted:
        assert greet(host, new, sender="host2") == ("control", True)
    else:
        with pytest.raises(PeerError, match="older than the removal of this user"):
            greet(host, new, sender="host2")


@pytest.mark.parametrize(("minutes", "is_valid"), [(4, True), (6, False)])
def test_a_certificate_is_valid_at_once_if_the_clocks_differ_by_minutes(
    lab: Trust, tmp_path: Path, minutes: int, is_valid: bool
) -> None:
    """The authority's clock is ahead of the sender's."""
    ahead = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    lab.remove("ann")
    make_user(Trust(lab.folder, lambda: ahead), "ann")
    lab.set_role("ann", "control")
    ann = home(lab, "ann", tmp_path)
    if is_valid:
        assert greet(lab, ann) == ("control", True)
    else:
        with pytest.raises(PeerError, match=r"is not valid before .*: check the clocks"):
            greet(lab, ann)


def test_a_host_can_be_denied(lab: Trust, tmp_path: Path) -> None:
    ann = home(lab, "ann", tmp_path)
    assert mirror(Prover(ann, "ann", NAME), lab) == "host1"
    ann.deny(key_of(lab), "host1")
    with pytest.raises(PeerError, match=r"SHA256:.* of 'host1' was denied"):
        mirror(Prover(ann, "ann", NAME), lab)
    lab.deny(key_of(lab))
    before = key_of(lab)
    lab.make_host("host1", [])
    assert key_of(lab) != before
    with pytest.raises(UsageError, match="not a fingerprint of a key"):
        ann.deny("SHA256:short")


@pytest.mark.parametrize("missing", ["host.key", "authority.pem"])
def test_viewers_do_not_learn_the_files_of_the_sender(
    lab: Trust, tmp_path: Path, caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    ann = home(lab, "ann", tmp_path)
    (lab.folder / missing).unlink()
    with pytest.raises(KjuError, match=r"^the sender cannot authenticate viewers: see its log"):
        greet(lab, ann)
    assert missing in caplog.text


def test_a_list_of_denied_keys_that_cannot_be_read_admits_nobody(
    lab: Trust, tmp_path: Path
) -> None:
    (lab.folder / "denied.json").write_text("nonsense")
    with pytest.raises(PeerError, match=r"^the sender cannot read its list of denied keys$"):
        greet(lab, home(lab, "ann", tmp_path))


@pytest.mark.parametrize("change", ["removed", "other role", "expired", "denied"])
def test_a_session_is_over_when_its_user_may_not_have_it(
    lab: Trust, tmp_path: Path, change: str
) -> None:
    now = [datetime.datetime.now(datetime.UTC)]
    lab = Trust(lab.folder, lambda: now[0])
    prove = Prover(home(lab, "ann", tmp_path), "ann", NAME)()
    hello = SessionHello(1, "control", ["zstd"], 1000, "ann", prove.key)
    admission = asked(lab, hello)
    assert admission.challenge
    assert admission.prove
    assert admission.check
    assert admission.prove(answer(prove, hello, admission.challenge).proof)
    admission.check()
    if change == "removed":
        lab.remove("ann")
    elif change == "other role":
        lab.set_role("ann", "view")
    elif change == "denied":
        lab.deny(key_of(lab, "user-ann"))
    else:
        now[0] += datetime.timedelta(days=398)
    with pytest.raises(KjuError):
        admission.check()


def test_a_session_is_over_when_its_senders_certificate_is(lab: Trust, tmp_path: Path) -> None:
    now = [datetime.datetime.now(datetime.UTC)]
    ann = Trust(home(lab, "ann", tmp_path).folder, lambda: now[0])
    prove = Prover(ann, "ann", NAME)()
    hello = SessionHello(1, "control", ["zstd"], 1000, "ann", prove.key)
    challenge = asked(lab, hello).challenge
    assert challenge
    answer(prove, hello, challenge)
    prove.check()
    now[0] += datetime.timedelta(days=398)
    with pytest.raises(PeerError, match="expired"):
        prove.check()
    now[0] -= datetime.timedelta(days=398)
    ann.deny(key_of(lab))
    with pytest.raises(PeerError, match="denied"):
        prove.check()


# ---- the greeting itself ----


def extended(raw: bytes, field: bytes) -> bytes:
    """A message with one field more, as a later version sends it."""
    assert 0x90 <= raw[0] < 0x9F  # an array of so many fields
    return bytes([raw[0] + 1]) + raw[1:] + field


@pytest.mark.parametrize("end", ["hello", "challenge", "neither"])
def test_a_field_that_one_side_does_not_know_is_covered(
    lab: Trust, tmp_path: Path, end: str
) -> None:
    """A later version's field is covered by the proof: a changed one is noticed."""
    prove = Prover(home(lab, "ann", tmp_path), "ann", NAME)()
    hello = SessionHello(1, "control", ["zstd"], 1000, "ann", prove.key)
    sent = extended(encode(hello), b"\x01")
    came = extended(encode(hello), b"\x02") if end == "hello" else sent
    admission = Authenticator(lab, NAME)(hello, came)
    assert admission.challenge
    assert admission.prove
    assert admission.seal
    raw = encode(admission.challenge)
    if end == "hello":
        with pytest.raises(PeerError, match="another session"):
            prove(sent, admission.challenge, raw)
        return
    raw = extended(raw, b"\x01") if end == "challenge" else raw
    proven = prove(sent, admission.challenge, raw)
    assert proven.seal
    if end == "neither":
        assert admission.prove(proven.proof)
        assert admission.seal.open(proven.seal.close(b"a key")) == b"a key"
        return
    with pytest.raises(PeerError, match="another session"):
        admission.prove(proven.proof)
    with pytest.raises(PeerError):
        admission.seal.open(proven.seal.close(b"a key"))


def test_thirty_two_long_names_fit_into_a_proof(lab: Trust, tmp_path: Path) -> None:
    names = [f"{n:02}-{'x' * 56}." * 4 + "example" for n in range(32)]
    lab.make_host("host1", [name[:250].rstrip(".") for name in names])
    ann = home(lab, "ann", tmp_path)
    prove = Prover(ann, "ann", NAME)()
    hello = SessionHello(1, "control", ["zstd"], 1000, "ann", prove.key)
    challenge = asked(lab, hello).challenge
    assert challenge
    assert len(challenge.proof) > 8000
    assert decode_from_sender(encode(challenge)) == challenge
    assert answer(prove, hello, challenge).sender == "host1"


def test_a_users_key_does_not_stay_where_it_was_made(lab: Trust) -> None:
    assert b"PRIVATE KEY" in lab.user_bundle("bob")
    assert not (lab.folder / "user-bob.key").exists()
    with pytest.raises(UsageError, match="kju trust bob --remove"):
        make_user(lab, "bob")


def test_files_are_read_once_for_many_greetings(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove = Prover(home(lab, "ann", tmp_path), "ann", NAME)()
    hello = SessionHello(1, "control", ["zstd"], 1000, "ann", prove.key)
    reads: list[str] = []
    read = Trust._read
    monkeypatch.setattr(Trust, "_read", lambda self, name: reads.append(name) or read(self, name))
    admit = Authenticator(lab, NAME)
    for _ in range(20):
        admit(hello, encode(hello))
    assert len(reads) <= 2
    lab.set_role("ann", None)
    with pytest.raises(KjuError, match="does not know user"):
        admit(hello, encode(hello))
