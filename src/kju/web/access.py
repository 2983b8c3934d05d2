"""SHELL: who may use the web server: links that can be exchanged for sessions.

A *link* has a secret, its key, which stands in the fragment of a URL. A page exchanges the key for
a *session*, whose secret, its token, is a cookie. Both have 256 random bits. The file has only
their hashes (SHA-256, without a salt: nobody can guess 256 bits), so a stolen copy admits nobody.

Several processes use the file: `kju web`, and `kju web link`, `revoke` and `sessions`. Only
`change_list` writes it, under a lock. A server reads it again when it has changed.

Times in the file are those of the wall clock, because they outlast a process. A server that knows a
session ends it by its own monotonic clock too, so setting the clock back does not prolong it.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..errors import KjuError, UsageError
from ..remote.key_lists import change_list, read_list
from ..store.paths import web_folder
from .messages import WEB_ROLES, WebRole

FILE = "access.json"
#: Bytes of a secret.
SECRET_BYTES = 32
#: Characters of a secret: base64 without padding.
SECRET_LENGTH = 43
#: Seconds for which a session is valid: half a day.
SESSION_LIFETIME = 12 * 3600.0
#: The most seconds for which a link is valid: 30 days.
MAX_LIFETIME = 30 * 86400.0
#: The most links, sessions, and uses of one link.
MAX_LINKS, MAX_SESSIONS, MAX_USES = 1000, 5000, 10_000
#: Seconds by which the clock may have been set back since a session began.
CLOCK_TOLERANCE = 300.0
WRONG_KEY = (
    "this link is not valid: it was used, has expired or was revoked. Make another one on the"
    " serving computer: kju web link NAME"
)


class AccessError(KjuError):
    """A key or token is not valid. The message is for its sender, so it names no other session."""


class AccessLink(msgspec.Struct, kw_only=True):
    """A link in the file.

    Attributes:
        hash: Of its key.
        role: The role of its sessions.
        machines: The machines that they may use; empty for all.
        created: Seconds of the wall clock.
        expires: The same.
        uses: How often it can still be exchanged.
    """

    hash: str
    role: WebRole
    machines: list[str] = []
    created: float
    expires: float
    uses: int = 1


class Session(msgspec.Struct, kw_only=True):
    """A session in the file.

    Attributes:
        hash: Of its token.
        role: Its role.
        machines: The machines that it may use; empty for all.
        created: Seconds of the wall clock.
        expires: The same.
        link: The id of the link that began it.
    """

    hash: str
    role: WebRole
    machines: list[str] = []
    created: float
    expires: float
    link: str = ""


class AccessList(msgspec.Struct):
    """The content of the file.

    Attributes:
        last: The number of the newest link or session.
        links: By id, such as ``L1``.
        sessions: By id, such as ``S2``.
    """

    last: int = 0
    links: dict[str, AccessLink] = {}
    sessions: dict[str, Session] = {}

    def new_id(self, letter: str) -> str:
        """Return an id that was never used."""
        self.last += 1
        return f"{letter}{self.last}"

    def sweep(self, now: float) -> None:
        """Remove expired links and sessions, and used links."""
        self.links = {k: v for k, v in self.links.items() if v.expires > now and v.uses > 0}
        self.sessions = {k: v for k, v in self.sessions.items() if _is_valid(v, now)}


class Principal(NamedTuple):
    """The holder of a session.

    Attributes:
        id: The session's id.
        role: Its role.
        machines: The machines that it may use; empty for all.
        expires: Seconds of the wall clock.
    """

    id: str
    role: WebRole
    machines: frozenset[str]
    expires: float

    def may_use(self, machine: str) -> bool:
        """Return whether the session includes a machine."""
        return not self.machines or machine in self.machines

    def has_role(self, wanted: WebRole) -> bool:
        """Return whether the session's role includes another one."""
        return WEB_ROLES.index(self.role) >= WEB_ROLES.index(wanted)


class Access:
    """The links and sessions of this user.

    Args:
        folder: The folder of the file.
        clock: Returns seconds of the wall clock.
    """

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._path = (folder or web_folder()) / FILE
        self._clock = clock
        self._read_state: tuple[int, ...] | None = None
        self._list = AccessList()
        self._by_hash: dict[str, str] = {}
        #: Monotonic deadlines of the sessions that this process has seen.
        self._deadlines: dict[str, float] = {}

    # ---- links ----

    def make_link(
        self, role: WebRole, *, machines: list[str], lifetime: float, uses: int = 1
    ) -> tuple[str, str]:
        """Make a link; return its id and its key, which is stored nowhere.

        Raises:
            UsageError: A value is out of range, or there are too many links.
        """
        if role not in WEB_ROLES:
            raise UsageError(f"unknown role {role!r}; choose one of: {', '.join(WEB_ROLES)}")
        if not 1 <= lifetime <= MAX_LIFETIME:
            raise UsageError(f"a link is valid for 1 s to {MAX_LIFETIME / 86400:g} d")
        if not 1 <= uses <= MAX_USES:
            raise UsageError(f"a link has 1 to {MAX_USES} uses, not {uses}")
        key, now = secrets.token_urlsafe(SECRET_BYTES), self._clock()
        made: list[str] = []

        def edit(content: AccessList) -> None:
            content.sweep(now)
            if len(content.links) >= MAX_LINKS:
                raise UsageError(
                    f"there are {MAX_LINKS} links, the most allowed; end some: kju web revoke ID"
                )
            made.append(content.new_id("L"))
            content.links[made[0]] = AccessLink(
                hash=hash_of(key), role=role, machines=machines, created=now,
                expires=now + lifetime, uses=uses,
            )  # fmt: skip

        self._change(edit)
        return made[0], key

    def exchange(self, key: str) -> tuple[Principal, str]:
        """Use a link once; return its new session and the token, which is stored nowhere.

        Raises:
            AccessError: The key is wrong, or its link has expired, was revoked or was used.
        """
        token, now, found = secrets.token_urlsafe(SECRET_BYTES), self._clock(), hash_of(key)
        made: list[Principal] = []

        def edit(content: AccessList) -> None:
            content.sweep(now)
            links = [(name, link) for name, link in content.links.items() if link.hash == found]
            if not links:
                raise AccessError(WRONG_KEY)
            if len(content.sessions) >= MAX_SESSIONS:
                raise AccessError("this server has too many sessions; end some: kju web revoke ID")
            name, link = links[0]
            link.uses -= 1
            content.sweep(now)
            session = Session(
                hash=hash_of(token), role=link.role, machines=link.machines, created=now,
                expires=now + SESSION_LIFETIME, link=name,
            )  # fmt: skip
            made_id = content.new_id("S")
            content.sessions[made_id] = session
            made.append(_principal(made_id, session))

        if not self._knows(found):
            raise AccessError(WRONG_KEY)  # without a lock and a write
        self._change(edit)
        return made[0], token

    # ---- sessions ----

    def find(self, token: str) -> Principal | None:
        """Return the holder of a token, or None for a wrong or expired one."""
        if len(token) != SECRET_LENGTH:
            return None
        self._read()
        name = self._by_hash.get(hash_of(token), "")
        return self.get(name) if name in self._list.sessions else None

    def get(self, name: str) -> Principal | None:
        """Return the holder of a session by its id, or None if the session has ended."""
        self._read()
        session = self._list.sessions.get(name)
        if session is None or not _is_valid(session, self._clock()):
            return None
        left = session.expires - self._clock()
        deadline = self._deadlines.setdefault(name, time.monotonic() + left)
        return _principal(name, session) if time.monotonic() < deadline else None

    def all(self) -> AccessList:
        """Return the valid links and sessions."""
        self._read()
        found = AccessList(self._list.last, dict(self._list.links), dict(self._list.sessions))
        found.sweep(self._clock())
        return found

    def revoke(self, names: list[str], *, everything: bool = False) -> list[str]:
        """End sessions and links, and the sessions of these links; return the ids.

        Raises:
            UsageError: An id is unknown.
        """
        ended: list[str] = []

        def edit(content: AccessList) -> None:
            begun = [each.link for each in content.sessions.values()]  # a used link ends itself
            known = [*content.links, *content.sessions, *begun]
            if unknown := [name for name in names if name not in known]:
                raise UsageError(
                    f"no link or session has the id {', '.join(unknown)}; list them:"
                    " kju web sessions"
                )
            gone = set(known if everything else names)
            gone |= {name for name, each in content.sessions.items() if each.link in gone}
            gone &= {*content.links, *content.sessions}
            content.links = {k: v for k, v in content.links.items() if k not in gone}
            content.sessions = {k: v for k, v in content.sessions.items() if k not in gone}
            ended.extend(sorted(gone, key=lambda name: (name[0], int(name[1:]))))

        self._change(edit)
        return ended

    # ---- the file ----

    def _change(self, edit: Callable[[AccessList], None]) -> None:
        change_list(self._path, AccessList, edit)

    def _knows(self, found: str) -> bool:
        self._read()
        return found in self._by_hash

    def _read(self) -> None:
        """Read the file, if it has changed."""
        state: tuple[int, ...] = ()
        with contextlib.suppress(OSError):
            status = self._path.stat()
            state = status.st_ino, status.st_mtime_ns, status.st_size
        if state == self._read_state:
            return
        self._list = read_list(self._path, AccessList)
        self._by_hash = {link.hash: name for name, link in self._list.links.items()}
        self._by_hash |= {each.hash: name for name, each in self._list.sessions.items()}
        self._deadlines = {k: v for k, v in self._deadlines.items() if k in self._list.sessions}
        self._read_state = state


def hash_of(secret: str) -> str:
    """Return the hash of a secret, as it stands in the file."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _is_valid(session: Session, now: float) -> bool:
    return session.created - CLOCK_TOLERANCE <= now < session.expires


def _principal(name: str, session: Session) -> Principal:
    return Principal(name, session.role, frozenset(session.machines), session.expires)
