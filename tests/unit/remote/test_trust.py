"""Keys, certificates, roles and proofs, valid and invalid."""

from __future__ import annotations

import datetime
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from support.trusting import NAME, answer, asked, bundle, greet, home, make_user, said

from kju.errors import FileError, KjuError, PeerError, UsageError
from kju.remote.proof import Prover
from kju.remote.trust import Trust
from kju.wire.messages import Challenge, SessionHello

pytest.importorskip("cryptography")


def test_users_are_authenticated_and_get_their_roles(lab: Trust, tmp_path: Path) -> None:
    ann, vic = home(lab, "ann", tmp_path), home(lab, "vic", tmp_path)
    assert greet(lab, ann) == ("control", True)
    assert greet(lab, ann, role="view") == ("view", True)
    assert greet(lab, vic, "vic") == ("view", True)


def test_secrets_are_their_owners_alone(lab: Trust) -> None:
    for path in lab.folder.glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert lab.folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(UsageError, match="exists; to create"):
        make_user(lab, "ann")


def test_a_host_may_have_another_certificate_and_so_may_another_host(
    lab: Trust, tmp_path: Path
) -> None:
    assert lab.unnamed(["127.0.0.1", "LOCALHOST", "[::1]"]) == ["[::1]"]
    lab.make_host("host1", ["127.0.0.1", "::1"])
    assert lab.unnamed(["127.0.0.1", "localhost", "[::1]"]) == ["localhost"]
    second = Trust(tmp_path / "second")
    assert second.import_bundle(lab.host_bundle("host2", ["host2", "10.0.0.9"])) == (
        "host2",
        "host",
    )
    assert second.unnamed(["host2", "10.0.0.9", "host1"]) == ["host1"]
    assert (second.folder / "host.key").stat().st_mode & 0o777 == 0o600
    second.set_role("ann", "view")
    ann = home(lab, "ann", tmp_path)
    assert greet(second, ann, sender="host2") == ("view", True)
    with pytest.raises(UsageError, match=r"authority.key is missing"):
        make_user(second, "eve")


def test_the_authority_beside_a_bundle_is_read_as_the_other_files(
    lab: Trust, tmp_path: Path
) -> None:
    """A pipe, or another user's file, is rejected without waiting."""
    data, other = lab.user_bundle("eve"), Trust(tmp_path / "other")
    other.folder.mkdir(mode=0o700)
    authority = other.folder / "authority.pem"
    os.mkfifo(authority)
    with pytest.raises(FileError, match=r"authority.pem is not used: it is not a regular file"):
        other.import_bundle(data)
    authority.unlink()
    if os.geteuid() == 0:
        authority.write_bytes((lab.folder / authority.name).read_bytes())
        os.chown(authority, 65534, 65534)
        with pytest.raises(FileError, match="belongs to user 65534"):
            other.import_bundle(data)


def test_a_key_of_another_certificate_names_the_repair_command(lab: Trust) -> None:
    make_user(lab, "eve")
    (lab.folder / "user-eve.key").write_bytes((lab.folder / "host.key").read_bytes())
    again = "kju trust eve --remove, then kju cert user eve, or kju cert take FILE"
    with pytest.raises(UsageError, match=f"user-eve.key is not the key of user-eve.pem.*{again}"):
        lab.tls("eve")
    lab.remove("eve")
    make_user(lab, "eve")
    lab.tls("eve")


def test_an_unknown_user_is_refused(lab: Trust, tmp_path: Path) -> None:
    make_user(lab, "bob")
    with pytest.raises(KjuError, match="the sender does not know user 'bob'"):
        greet(lab, home(lab, "bob", tmp_path), "bob")
    lab.set_role("vic", None)
    with pytest.raises(KjuError, match="does not know user 'vic'"):
        greet(lab, home(lab, "vic", tmp_path), "vic")


def test_a_user_of_another_authority_is_refused(lab: Trust, tmp_path: Path) -> None:
    other = Trust(tmp_path / "other")
    other.make_authority("another")
    other.make_host("host1", [])
    make_user(other, "ann")
    # The sender is of the other's authority too, as far as this viewer knows.
    stranger = home(other, "ann", tmp_path)
    with pytest.raises(PeerError, match="proof is not valid: the certificate is from another"):
        greet(lab, stranger)
    (stranger.folder / "authority.pem").write_bytes((lab.folder / "authority.pem").read_bytes())
    with pytest.raises(PeerError, match="the certificate is from another authority"):
        greet(lab, stranger)


def test_one_user_is_not_another(lab: Trust, tmp_path: Path) -> None:
    vic = home(lab, "vic", tmp_path)
    for suffix in ("pem", "key"):
        (vic.folder / f"user-vic.{suffix}").rename(vic.folder / f"user-ann.{suffix}")
    with pytest.raises(PeerError, match="certificate is for user vic, not ann"):
        greet(lab, vic, "ann")


@pytest.mark.parametrize(("days", "why"), [(-400, "has expired"), (400, "clock")])
def test_a_certificate_has_its_days(lab: Trust, tmp_path: Path, days: int, why: str) -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    make_user(Trust(lab.folder, lambda: then), "old")
    lab.set_role("old", "view")
    with pytest.raises(PeerError, match=why):
        greet(lab, home(lab, "old", tmp_path), "old")


def test_a_proof_is_worth_nothing_in_another_session(lab: Trust, tmp_path: Path) -> None:
    ann = home(lab, "ann", tmp_path)
    prove = Prover(ann, "ann", NAME)()
    hello = SessionHello(1, "control", ["zstd"], 1000, "ann", prove.key)
    first, second = asked(lab, hello), asked(lab, hello)
    other = asked(lab, hello, "lab/host1/another")
    assert first.challenge
    assert first.prove
    proof = answer(prove, hello, first.challenge).proof
    assert first.prove(proof)
    for admission in (second, other):
        assert admission.prove
        with pytest.raises(PeerError, match="another session"):
            admission.prove(proof)


def test_a_greeting_is_for_one_screen(lab: Trust, tmp_path: Path) -> None:
    """A router cannot lead a viewer to another screen of the same host."""
    prove = Prover(home(lab, "ann", tmp_path), "ann", "lab/host1/another")()
    hello = SessionHello(1, "control", ["zstd"], 1000, "ann", prove.key)
    admission = asked(lab, hello)
    assert admission.challenge
    with pytest.raises(PeerError, match="another session"):
        answer(prove, hello, admission.challenge)


def test_a_sender_signs_its_messages(lab: Trust, tmp_path: Path) -> None:
    """Another host signs the same greeting: the viewer accepts it, but has another key."""
    other = Trust(tmp_path / "other")
    other.import_bundle(lab.host_bundle("host2", ["host2"]))
    prove = Prover(home(lab, "ann", tmp_path), "ann", NAME)()
    hello = SessionHello(1, "control", ["zstd"], 1000, "ann", prove.key)
    admission = asked(lab, hello)
    assert admission.challenge
    assert admission.prove
    assert admission.seal
    theirs = Challenge(
        admission.challenge.key, other.sign("host", b"sender", *said(hello, admission))
    )
    proven = answer(prove, hello, theirs)
    assert proven.sender == "host2"
    with pytest.raises(PeerError, match="another session"):
        admission.prove(proven.proof)
    with pytest.raises(PeerError):
        admission.seal.open(proven.seal.close(b"a key"))


@pytest.mark.parametrize("proof", [b"\x91" * 1100, b"\x92\xa1\xff\xa1\xff", b"\xc1"])
def test_an_invalid_proof_is_refused(lab: Trust, proof: bytes) -> None:
    with pytest.raises(PeerError, match="not a valid"):
        lab.verify(proof, b"viewer", kind="user")


def test_viewers_get_no_details_of_unreadable_roles(lab: Trust) -> None:
    (lab.folder / "roles.toml").unlink()
    (lab.folder / "roles.toml").mkdir()
    with pytest.raises(
        KjuError, match=r"^the sender cannot read the roles of its users: see its log$"
    ):
        asked(lab, SessionHello(1, "view", ["zstd"], 1000, "ann", bytes(range(32))))


@pytest.mark.parametrize("names", [["münchen"], ["a b"], ["tls/x:1"], [""], ["x"] * 33])
def test_invalid_names_change_nothing(lab: Trust, names: list[str]) -> None:
    before = (lab.folder / "host.pem").read_bytes()
    with pytest.raises(UsageError, match=r"not a host name|limit of 32"):
        lab.make_host("host1", names)
    assert (lab.folder / "host.pem").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [{"role": "view"}, {"codecs": ["raw"]}, {"audience": True}, {"key": os.urandom(32)}],
    ids=lambda c: next(iter(c)),
)
def test_a_hello_that_was_changed_on_its_way_is_noticed(
    lab: Trust, tmp_path: Path, change: dict[str, object]
) -> None:
    prove = Prover(home(lab, "ann", tmp_path), "ann", NAME)()
    hello = SessionHello(1, "control", ["zstd", "raw"], 1000, "ann", prove.key)
    changed = asked(lab, msgspec.structs.replace(hello, **change))
    assert changed.challenge
    with pytest.raises(PeerError, match="another session"):
        answer(prove, hello, changed.challenge)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (b"", "requires authentication"),
        (bytes(31), "invalid public key"),
        (bytes(32), "invalid public key"),
    ],
)
def test_an_invalid_public_key_is_refused(lab: Trust, key: bytes, why: str) -> None:
    with pytest.raises(KjuError, match=why):
        asked(lab, SessionHello(1, "control", ["zstd"], 1000, "ann", key))


def test_a_users_certificate_makes_no_sender(lab: Trust, tmp_path: Path) -> None:
    ann, vic = home(lab, "ann", tmp_path), home(lab, "vic", tmp_path)
    for suffix in ("pem", "key"):
        (vic.folder / f"user-vic.{suffix}").rename(vic.folder / f"host.{suffix}")
    vic.set_role("ann", "control")
    with pytest.raises(PeerError, match=r"proof is not valid: .* vic is for a user"):
        greet(vic, ann)
    for suffix in ("pem", "key"):
        (ann.folder / f"user-ann.{suffix}").write_bytes(
            (lab.folder / f"host.{suffix}").read_bytes()
        )
    with pytest.raises(PeerError, match="certificate of host1 is for a host"):
        greet(lab, ann)


def test_a_sender_that_is_another_gets_no_proof(lab: Trust, tmp_path: Path) -> None:
    ann = home(lab, "ann", tmp_path)
    with pytest.raises(PeerError, match="sender's proof is not valid"):
        greet(lab, ann, change=lambda c: Challenge(os.urandom(32), c.proof))
    for proof in (b"", b"\xc1", b"\x92\xc4\x01a\xc4\x01b", bytes(2000)):
        with pytest.raises(PeerError, match="sender's proof is not valid"):
            greet(lab, ann, change=lambda c, proof=proof: Challenge(c.key, proof))


@pytest.mark.parametrize(
    "text", ["ann = 3", 'ann = "root"', "ann", '"a b" = "view"', "\xff", "ann = " + "[" * 5000]
)
def test_invalid_roles_are_an_error(lab: Trust, text: str) -> None:
    (lab.folder / "roles.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"roles\.toml|not a user name"):
        lab.roles()


def test_an_invalid_bundle_is_refused(lab: Trust, tmp_path: Path) -> None:
    other = Trust(tmp_path / "x")
    for data in (b"", b"nonsense", bundle(lab, "ann")[:-300], bundle(lab, "ann")[100:]):
        with pytest.raises(UsageError):
            other.import_bundle(data)
    with pytest.raises(UsageError, match="not a user name"):
        make_user(lab, "../x")
    with pytest.raises(UsageError, match="kju cert authority"):
        make_user(other, "ann")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o702])
def test_a_trust_folder_that_others_may_change_is_not_used(lab: Trust, mode: int) -> None:
    lab.folder.chmod(mode)
    for use in (
        lambda: lab.tls(),
        lambda: lab.sign("host", b"x"),
        lambda: lab.set_role("ann", "view"),
        lambda: lab.roles(),
        lambda: make_user(lab, "eve"),
    ):
        with pytest.raises(KjuError, match=rf"\(mode {mode:04o}\); run: chmod go-w {lab.folder}"):
            use()
    lab.folder.chmod(0o755)
    assert lab.roles()["ann"] == "control"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_trust_folder_or_file_of_another_user_is_not_used(lab: Trust) -> None:
    os.chown(lab.folder / "authority.pem", 65534, 65534)
    with pytest.raises(KjuError, match=r"authority\.pem is not used: it belongs to user 65534"):
        lab.tls()
    os.chown(lab.folder / "authority.pem", 0, 0)
    os.chown(lab.folder, 65534, 65534)
    with pytest.raises(KjuError, match="belongs to user 65534"):
        lab.tls()


def test_a_key_that_others_may_read_is_not_used(lab: Trust) -> None:
    (lab.folder / "host.key").chmod(0o644)
    with pytest.raises(KjuError, match=rf"run: chmod 600 {lab.folder}/host\.key"):
        lab.sign("host", b"x")


def test_a_key_that_is_a_link_is_not_used(lab: Trust) -> None:
    key = lab.folder / "host.key"
    key.rename(key.with_name("real"))
    key.symlink_to("real")
    with pytest.raises(KjuError, match=r"host\.key .*link"):
        lab.sign("host", b"x")


def test_a_trust_folder_may_be_a_link_of_ones_own(lab: Trust, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(lab.folder)
    made = Trust(tmp_path / "link")
    made.set_role("eve", "view")
    assert made.roles() == lab.roles() and "eve" in lab.roles()


def test_roles_that_are_changed_at_once_all_count(lab: Trust) -> None:
    names = [f"user{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: Trust(lab.folder).set_role(name, "view"), names))
    assert set(names) <= lab.roles().keys()


def test_keys_that_a_killed_command_left_are_removed(lab: Trust) -> None:
    left = lab.folder / f".kju-{'0' * 16}.new"
    left.write_text("a key")
    make_user(lab, "eve")
    assert not left.exists()


def test_files_of_the_trust_folder_have_their_modes_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = Trust(tmp_path / "trust")
        made.make_authority("lab")
        make_user(made, "ann")
        made.set_role("ann", "view")
    finally:
        os.umask(before)
    assert made.folder.stat().st_mode & 0o777 == 0o700
    for path in made.folder.iterdir():
        assert path.stat().st_mode & 0o777 == (0o644 if path.suffix == ".pem" else 0o600), path
