"""SHELL: who may use the web server: links and passwords that can be exchanged for sessions.

A *link* has a secret, its key, which stands in the fragment of a URL. A page exchanges the key for
a *session*, whose secret, its token, is a cookie. Both have 256 random bits. The file has only
their hashes (SHA-256, without a salt: nobody can guess 256 bits), so a stolen copy admits nobody.
A *user* has a role, machines, and a password or none: see `kju.web.passwords`. The sessions of a
user end when the user is changed or removed.

Several processes use the file: `kju web`, and `kju web link`, `user`, `revoke` and `sessions`. Only
`change_list` writes it, under a lock. A server reads it again when it has changed.

A server calls `exchange` and `log_in` in threads of their own, and everything else in its event
loop. What it has read is changed under a lock, so that an older list never replaces a newer one.

Times in the file are those of the wall clock, because they outlast a process. A server that knows a
session ends it by its own monotonic clock too, so setting the clock back does not prolong it.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from ..errors import KjuError, UsageError
from ..remote.key_lists import change_list, read_list
from ..store.paths import web_folder
from .access_list import (
    PROXY_USER,
    AccessLink,
    AccessList,
    Principal,
    Session,
    WebUser,
    check_user,
    hash_of,
    is_valid,
    principal_of,
)
from .messages import WEB_ROLES, WebRole
from .passwords import PasswordHash, is_right

FILE = "access.json"
#: Bytes of a secret.
SECRET_BYTES = 32
#: Characters of a secret: base64 without padding.
SECRET_LENGTH = 43
#: Seconds for which a session is valid: half a day.
SESSION_LIFETIME = 12 * 3600.0
#: The most seconds for which a link is valid: 30 days.
MAX_LIFETIME = 30 * 86400.0
#: The most links, uses of one link, and users.
MAX_LINKS, MAX_USES, MAX_USERS = 1000, 10_000, 1000
WRONG_KEY = (
    "this link is not valid: it was used, has expired or was revoked. Make another one on the"
    " serving computer: kju web link NAME"
)
_WRONG_PASSWORD = "the user name or the password is wrong"  # noqa: S105  a message


class AccessError(KjuError):
    """A key or token is not valid. The message is for its sender, so it names no other session."""


class WrongPasswordError(AccessError):
    """The user is unknown, or the password is wrong."""


class Access:
    """The links and sessions of this user.

    Args:
        folder: The folder of the file.
        clock: Returns seconds of the wall clock.

    Attributes:
        proxy_role: The role of users that a proxy names and that are not in the file; None: such
            users are refused.
    """

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._path = (folder or web_folder()) / FILE
        self._clock = clock
        self.proxy_role: WebRole | None = None
        self._lock = threading.Lock()
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

    def exchange(self, key: str, in_use: Collection[str] = ()) -> tuple[Principal, str]:
        """Use a link once; return its new session and the token, which is stored nowhere.

        Args:
            key: The key of the link.
            in_use: The ids of sessions with an open page: see `AccessList.add_session`.

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
            name, link = links[0]
            link.uses -= 1
            content.sweep(now)
            session = Session(
                hash=hash_of(token), role=link.role, machines=link.machines, created=now,
                expires=now + SESSION_LIFETIME, link=name,
            )  # fmt: skip
            made.append(principal_of(content.add_session(session, in_use), session))

        if not self._knows(found):
            raise AccessError(WRONG_KEY)  # without a lock and a write
        self._change(edit)
        return made[0], token

    # ---- users ----

    def set_user(
        self,
        name: str,
        role: WebRole | None = None,
        *,
        machines: list[str] | None = None,
        password: PasswordHash | None = None,
        no_password: bool = False,
    ) -> WebUser:
        """Add or change a user, and end the user's sessions.

        Args:
            name: The user.
            role: The role; None for the present one, and ``view`` for a new user.
            machines: The machines; None for the present ones, and all for a new user.
            password: A new password; None for the present one, or none.
            no_password: Remove the present password.

        Raises:
            UsageError: The name is not valid, or there are too many users.
        """
        check_user(name)
        made: list[WebUser] = []

        def edit(content: AccessList) -> None:
            if name not in content.users and len(content.users) >= MAX_USERS:
                raise UsageError(f"there are {MAX_USERS} users, the most allowed")
            before = content.users.get(name) or WebUser(role="view", created=self._clock())
            content.users[name] = WebUser(
                role=role or before.role,
                machines=before.machines if machines is None else machines,
                password=None if no_password else password or before.password,
                created=before.created,
            )
            content.end_sessions_of(name)
            made.append(content.users[name])

        self._change(edit)
        return made[0]

    def remove_user(self, name: str) -> None:
        """Remove a user, and end the user's sessions.

        Raises:
            UsageError: There is no such user.
        """

        def edit(content: AccessList) -> None:
            if content.users.pop(name, None) is None:
                raise UsageError(f"there is no user {name!r}: list them with kju web users")
            content.end_sessions_of(name)

        self._change(edit)

    @property
    def has_passwords(self) -> bool:
        """True if a user has a password."""
        self._read()
        return any(each.password is not None for each in self._list.users.values())

    def log_in(
        self, name: str, password: str, in_use: Collection[str] = ()
    ) -> tuple[Principal, str]:
        """Begin a session with a password; return it and the token, which is stored nowhere.

        Args:
            name: The user.
            password: The password.
            in_use: The ids of sessions with an open page: see `AccessList.add_session`.

        Raises:
            AccessError: The user or the password is wrong.
        """
        self._read()
        before = self._list.users.get(name)
        checked = before.password if before else None
        if not is_right(password, checked):
            raise WrongPasswordError(_WRONG_PASSWORD)
        token, now = secrets.token_urlsafe(SECRET_BYTES), self._clock()
        made: list[Principal] = []

        def edit(content: AccessList) -> None:
            content.sweep(now)
            user = content.users.get(name)
            if user is None or user.password != checked:
                raise WrongPasswordError(_WRONG_PASSWORD)  # it was changed meanwhile
            session = Session(
                hash=hash_of(token), role=user.role, machines=user.machines, created=now,
                expires=now + SESSION_LIFETIME, user=name,
            )  # fmt: skip
            made.append(principal_of(content.add_session(session, in_use), session))

        self._change(edit)
        return made[0], token

    def of_proxy_user(self, name: str) -> Principal | None:
        """Return the rights of a user whom a proxy has authenticated; None without any.

        Such a user has no session in the file: the proxy names the user in each request.
        """
        self._read()
        user = self._list.users.get(name)
        if (role := user.role if user else self.proxy_role) is None:
            return None
        machines = frozenset(user.machines if user else ())
        return Principal(PROXY_USER + name, role, machines, self._clock() + SESSION_LIFETIME)

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
        if name.startswith(PROXY_USER):
            return self.of_proxy_user(name.removeprefix(PROXY_USER))
        session = self._list.sessions.get(name)
        if session is None or not is_valid(session, self._clock()):
            return None
        left = session.expires - self._clock()
        with self._lock:
            deadline = self._deadlines.setdefault(name, time.monotonic() + left)
        return principal_of(name, session) if time.monotonic() < deadline else None

    def all(self) -> AccessList:
        """Return the valid links and sessions, and the users."""
        self._read()
        now = self._list
        found = AccessList(now.last, dict(now.links), dict(now.sessions), dict(now.users))
        found.sweep(self._clock())
        return found

    def revoke(self, names: list[str], *, everything: bool = False) -> list[str]:
        """End sessions and links, and the sessions of these links or users; return the ids.

        Raises:
            UsageError: An id is unknown.
        """
        ended: list[str] = []

        def edit(content: AccessList) -> None:
            begun = {v.link or v.user for v in content.sessions.values()}  # a used link ends itself
            known = [*content.links, *content.sessions, *content.users, *begun]
            if unknown := [name for name in names if name not in known]:
                raise UsageError(
                    f"no link or session has the id {', '.join(unknown)}; list them:"
                    " kju web sessions"
                )
            gone = set(known if everything else names)
            gone |= {k for k, v in content.sessions.items() if (v.link or v.user) in gone}
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
        with self._lock:
            state: tuple[int, ...] = ()
            with contextlib.suppress(OSError):
                status = self._path.stat()
                state = status.st_ino, status.st_mtime_ns, status.st_size
            if state == self._read_state:
                return
            found = read_list(self._path, AccessList)
            self._by_hash = {link.hash: name for name, link in found.links.items()}
            self._by_hash |= {each.hash: name for name, each in found.sessions.items()}
            self._deadlines = {k: v for k, v in self._deadlines.items() if k in found.sessions}
            self._list, self._read_state = found, state
