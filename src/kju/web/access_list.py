"""The file of links, sessions and users: its structure, its valid entries, and their holders."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import msgspec

from ..errors import UsageError
from .messages import WEB_ROLES, WebRole
from .passwords import PasswordHash

#: Seconds by which the clock may have been set back since a link or a session began.
CLOCK_TOLERANCE = 300.0
#: The most sessions in all, of one link, and of one user.
MAX_SESSIONS, MAX_SESSIONS_OF_LINK, MAX_SESSIONS_OF_USER = 5000, 512, 32
#: Before the name, in the id of the holder of a proxy's user. No other id begins so.
PROXY_USER = "@"
#: No name is the id of a link or a session.
_USER = re.compile(r"(?![LS][0-9]+$)[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}")


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
        link: The id of the link that began it; empty for a password.
        user: The user who began it; empty for a link.
    """

    hash: str
    role: WebRole
    machines: list[str] = []
    created: float
    expires: float
    link: str = ""
    user: str = ""

    @property
    def owner(self) -> str:
        """The user or the link whose sessions have one share: no user has a link's id."""
        return self.user or self.link


class WebUser(msgspec.Struct, kw_only=True):
    """A user in the file.

    Attributes:
        role: The role of the user.
        machines: The machines that the user may use; empty for all.
        password: The hash of the password; None for a user who cannot log in with one.
        created: Seconds of the wall clock.
    """

    role: WebRole
    machines: list[str] = []
    password: PasswordHash | None = None
    created: float


class Principal(NamedTuple):
    """The holder of a session.

    Attributes:
        id: The session's id.
        role: Its role.
        machines: The machines that it may use; empty for all.
        expires: Seconds of the wall clock.
        user: The user; empty for a session that began with a link.
        link: The id of that link; empty for a user.
    """

    id: str
    role: WebRole
    machines: frozenset[str]
    expires: float
    user: str = ""
    link: str = ""

    @property
    def title(self) -> str:
        """The name that others see: the session's id, after the user."""
        return f"{self.user}/{self.id}" if self.user else self.id

    @property
    def owner(self) -> str:
        """The user or the link whose sessions have one share: no user has a link's id."""
        return self.user or self.link or self.id.removeprefix(PROXY_USER)

    def may_use(self, machine: str) -> bool:
        """Return whether the session includes a machine."""
        return not self.machines or machine in self.machines

    def has_role(self, wanted: WebRole) -> bool:
        """Return whether the session's role includes another one."""
        return WEB_ROLES.index(self.role) >= WEB_ROLES.index(wanted)


class AccessList(msgspec.Struct):
    """The content of the file.

    Attributes:
        last: The number of the newest link or session.
        links: By id, such as ``L1``.
        sessions: By id, such as ``S2``.
        users: By name.
    """

    last: int = 0
    links: dict[str, AccessLink] = {}
    sessions: dict[str, Session] = {}
    users: dict[str, WebUser] = {}

    def new_id(self, letter: str) -> str:
        """Return an id that was never used."""
        self.last += 1
        return f"{letter}{self.last}"

    def sweep(self, now: float) -> None:
        """Remove expired links and sessions, and used links."""
        self.links = {k: v for k, v in self.links.items() if is_valid(v, now) and v.uses > 0}
        self.sessions = {k: v for k, v in self.sessions.items() if is_valid(v, now)}

    def end_sessions_of(self, user: str) -> None:
        """End the sessions of a user."""
        self.sessions = {k: v for k, v in self.sessions.items() if v.user != user}

    def add_session(self, session: Session, in_use: Collection[str]) -> str:
        """Add a session, and end others for it if a limit is reached; return its id.

        Of too many sessions of an owner the oldest one ends. Of too many in all, the oldest one of
        the owner with the most ends, so that nobody can take the places of all others. Sessions
        with an open page end last.

        Args:
            session: The session.
            in_use: The ids of sessions with an open page.
        """
        most = MAX_SESSIONS_OF_USER if session.user else MAX_SESSIONS_OF_LINK
        if len(self._of(session.owner)) >= most:
            self._end_oldest_of(session.owner, in_use)
        if len(self.sessions) >= MAX_SESSIONS:
            counts = Counter(each.owner for each in self.sessions.values())
            self._end_oldest_of(counts.most_common(1)[0][0], in_use)
        name = self.new_id("S")
        self.sessions[name] = session
        return name

    def _of(self, owner: str) -> list[str]:
        """Return the ids of an owner's sessions, the oldest one first."""
        return [name for name, each in self.sessions.items() if each.owner == owner]

    def _end_oldest_of(self, owner: str, in_use: Collection[str]) -> None:
        theirs = self._of(owner)
        unused = [name for name in theirs if name not in in_use]
        del self.sessions[(unused or theirs)[0]]


def hash_of(secret: str) -> str:
    """Return the hash of a secret, as it stands in the file."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def check_user(name: str) -> str:
    """Return the name of a user after checking it.

    Raises:
        UsageError: It is not valid.
    """
    if not _USER.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a user's name: use up to 64 letters, digits, _ . @ + and -,"
            " and not the id of a link or session such as S1"
        )
    return name


def is_valid(one: AccessLink | Session, now: float) -> bool:
    """Return whether a link or session has begun, and has not expired, by the wall clock."""
    return one.created - CLOCK_TOLERANCE <= now < one.expires


def principal_of(name: str, session: Session) -> Principal:
    """Return the holder of a session, by its id."""
    machines = frozenset(session.machines)
    return Principal(name, session.role, machines, session.expires, session.user, session.link)
