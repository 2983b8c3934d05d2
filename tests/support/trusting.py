"""Folders of trust, and greetings between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kju.remote.proof import Authenticator, Prover
from kju.remote.trust import Trust
from kju.wire.greeting import Admission, Prove, Proven
from kju.wire.messages import Challenge, SessionHello, encode

NAME = "lab/host1/debian"


def make_lab(folder: Path) -> Trust:
    """Make a sender's folder: its authority, its certificate, a controller ann and a viewer vic."""
    made = Trust(folder)
    made.make_authority("the lab")
    made.make_host("host1", ["127.0.0.1", "localhost"])
    for user, role in (("ann", "control"), ("vic", "view")):
        make_user(made, user)
        made.set_role(user, role)
    return made


def make_user(trust: Trust, name: str) -> None:
    """Make a user, and take the user's key into the same folder."""
    trust.import_bundle(trust.user_bundle(name))


def bundle(lab: Trust, user: str) -> bytes:
    """Return the bundle of a user, from a folder that has the user's key."""
    names = ("authority.pem", f"user-{user}.pem", f"user-{user}.key")
    return b"".join((lab.folder / name).read_bytes() for name in names)


def home(lab: Trust, user: str, folder: Path) -> Trust:
    """Return a user's own folder."""
    made = Trust(folder / f"home-{user}")
    assert made.import_bundle(bundle(lab, user)) == (user, "user")
    return made


def greet(
    lab: Trust, viewer: Trust, user: str = "ann", role: str = "control",
    change: Callable[[Challenge], Challenge] = lambda c: c, sender: str = "host1",
) -> tuple[str, bool]:  # fmt: skip
    """Run a greeting; return the granted role, and whether the proof is right."""
    prove = Prover(viewer, user, NAME)()
    hello = SessionHello(1, role, ["zstd"], 1000, user, prove.key)  # type: ignore[arg-type]
    admission = Authenticator(lab, NAME)(hello, encode(hello))
    assert admission.challenge is not None
    assert admission.prove is not None
    changed = change(admission.challenge)
    proven = prove(encode(hello), changed, encode(changed))
    assert proven.sender == sender
    right = admission.prove(proven.proof)
    assert admission.seal is not None
    assert proven.seal is not None
    assert proven.seal.open(admission.seal.close(b"down")) == b"down"
    assert admission.seal.open(proven.seal.close(b"up")) == b"up"
    return admission.role, right


def said(hello: SessionHello, admission: Admission) -> list[bytes]:
    """Return the messages of both ends before the sender's proof."""
    assert admission.challenge is not None
    return [NAME.encode(), encode(hello), admission.challenge.key]


def answer(prove: Prove, hello: SessionHello, challenge: Challenge) -> Proven:
    """Answer a challenge as a viewer."""
    return prove(encode(hello), challenge, encode(challenge))


def asked(lab: Trust, hello: SessionHello, name: str = NAME) -> Admission:
    """Answer a hello as a sender."""
    return Authenticator(lab, name)(hello, encode(hello))
