"""`kju web`: machines in a browser."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import extras
from ..errors import UsageError
from ..files import raise_descriptor_limit, read_file
from ..remote.addresses import UNIX, check_screen
from ..remote.trust import default_folder
from ..store.paths import check_name
from ..web.access import Access
from ..web.messages import WEB_ROLES, WebRole
from ..web.running import announced, running_urls
from .command import Insecure, User, group, running_machines
from .network import Reach, until_signalled
from .output import print_table

if TYPE_CHECKING:
    from ..web.server import WebServer
    from ..web.tls import ServerCertificate

#: The port, if none is given.
PORT = 7480
#: Seconds for which the first link is valid.
FIRST_LINK_LIFETIME = 600.0
#: The most bytes of a file with a password.
_MAX_PASSWORD_FILE = 4096
_DURATION = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME", help="Machines (default: all of yours).", autocompletion=running_machines
    ),
]


def serve(
    names: Names = None,
    listen: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="Address to listen on; port 0 is any free one."),
    ] = f"127.0.0.1:{PORT}",
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Certificate and chain (default: of `kju cert web`)."),
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="PEM", help="Key of the certificate.")] = None,
    https: Annotated[bool, typer.Option("--https", help="Use TLS on loopback too.")] = False,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name of this computer in browsers."),
    ] = None,
    embed: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Allow pages of ORIGIN to embed a screen."),
    ] = None,
    connect: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="Serve the screens of `kju serve` there too."),
    ] = None,
    user: User = "",
    insecure: Insecure = False,
    url: Annotated[
        str, typer.Option(metavar="URL", help="Address in browsers, behind a reverse proxy.")
    ] = "",
    proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Address, or ADDRESS/BITS, of the reverse proxy."),
    ] = None,
    trust_header: Annotated[
        str,
        typer.Option(metavar="HEADER", help="Header in which the proxy names the user."),
    ] = "",
    proxy_role: Annotated[
        str,
        typer.Option(metavar="ROLE", help="Role of the proxy's users that `kju web user` lacks."),
    ] = "",
) -> None:
    """Serve machines to browsers until Ctrl+C (this is what `kju web` does).

    It prints a link that can be used once, within ten minutes, with all rights on these machines.
    Other computers are served over TLS only.
    """
    extras.require("web", "a web server")
    from ..web.assets import INDEX, MISSING
    from ..web.listening import WebOptions
    from ..web.proxy import make_proxy
    from ..web.remote.gateway import FarComputer
    from ..web.server import WebServer

    raise_descriptor_limit()
    for name in names or []:
        _check_name(name)
    _check_connect(names or [], connect or [])
    remotes = [
        FarComputer(Reach([], [each], insecure, user).options(), user) for each in connect or []
    ]
    path, address, port = _address(listen)
    if not url and (proxy or trust_header or proxy_role):
        raise UsageError("a proxy needs --url, the address of the page in browsers")
    if url and not proxy and path is None:
        raise UsageError("name the proxy with --proxy ADDRESS, or use --listen unix:PATH")
    if proxy_role and not trust_header:
        raise UsageError("--proxy-role is for users that the proxy names: add --trust-header")
    used_proxy = None
    if url:
        used_proxy = make_proxy(
            url, proxy or [], trust_header, _role(proxy_role) if proxy_role else None
        )
    used = None if path else _certificate(address, certificate, key, https=https)
    for each in host or []:
        if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+", each):
            raise UsageError(
                f"--host: {each!r} is not a host name or address; write it without scheme and port"
            )
    for each in embed or []:
        if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?", each):
            raise UsageError(f"--embed: {each!r} is not an origin; write https://HOST")
    options = WebOptions(address, port, used, host or [], embed or [], path, used_proxy)
    access = Access()
    server = WebServer(names or [], options, access=access, remotes=remotes)
    if server.site.assets.find(INDEX) is None:
        print(f"kju: {MISSING}", file=sys.stderr)

    until_signalled(_serve(server, access, names or []))


async def _serve(server: WebServer, access: Access, names: list[str]) -> None:
    """Serve until this is cancelled; the first link is printed when the server is ready."""
    with contextlib.ExitStack() as stack:

        def ready() -> None:
            stack.enter_context(announced(server.url, server.port))
            where = f" (socket {path})" if (path := server.options.path) else ""
            print(f"serving at {server.url}{where}", flush=True)
            if _is_journal():  # a secret must not be in a log
                print("to make a link: kju web link NAME", flush=True)
                return
            made = access.make_link("manage", machines=names, lifetime=FIRST_LINK_LIFETIME)
            print(f"open this once, within ten minutes: {server.link(made[1])}", flush=True)

        await server.run(ready)


def link(
    names: Names = None,
    role: Annotated[str, typer.Option(metavar="ROLE", help=f"{', '.join(WEB_ROLES)}.")] = "view",
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="Time for its use: 30m, 1h, 7d.")
    ] = "1h",
    uses: Annotated[int, typer.Option(metavar="N", help="Browsers that may use it.")] = 1,
) -> None:
    """Print a link for a browser.

    A browser that has opened it may use the machines for twelve hours. Anybody with the link can
    use it, so send it over a private channel.
    """
    for name in names or []:
        _check_name(name)
    known = _role(role)
    urls = running_urls()
    if not urls:
        raise UsageError("no web server of yours is running: start one with kju web")
    made, secret = Access().make_link(
        known, machines=names or [], lifetime=seconds(expires), uses=uses
    )
    for url in urls:
        print(f"{url}#{secret}", flush=True)
    print(f"link {made}: {role}, {uses} uses; to end it: kju web revoke {made}", file=sys.stderr)


def user(
    user: Annotated[str, typer.Argument(metavar="USER", help="Name of the user.")],
    names: Names = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Allow all machines again to a user of some.")
    ] = False,
    role: Annotated[
        str,
        typer.Option(metavar="ROLE", help=f"{', '.join(WEB_ROLES)} (default: view)."),
    ] = "",
    password: Annotated[
        bool, typer.Option("--password", help="Ask for another password of a known user.")
    ] = False,
    password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Read the password from FILE; -: standard input."),
    ] = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Make a user whom only a proxy can name.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the user, and end the user's sessions.")
    ] = False,
) -> None:
    """Add a user with a password, or change or remove one.

    The password is asked for. A change ends the user's sessions within a second.
    """
    from ..web.access_list import check_user
    from ..web.passwords import hash_password

    check_user(user)
    access = Access()
    if remove:
        if role or names or everything or password or password_file or no_password:
            raise UsageError("--remove stands alone")
        access.remove_user(user)
        print(f"{user} was removed")
        return
    if password + no_password + (password_file is not None) > 1:
        raise UsageError("choose one of --password, --password-file and --no-password")
    if names and everything:
        raise UsageError("give machine names, or --all (not both)")
    for name in names or []:
        _check_name(name)
    known = _role(role) if role else None
    made = None
    if password_file is not None:
        made = hash_password(_read_password(password_file))
    elif password or (user not in access.all().users and not no_password):
        made = hash_password(_ask_password(user))
    found = access.set_user(
        user,
        known,
        machines=[] if everything else names or None,
        password=made,
        no_password=no_password,
    )
    login = "a password" if found.password else "a proxy's name only"
    print(f"{user}: role {found.role}, {', '.join(found.machines) or 'all machines'}, {login}")


def users() -> None:
    """List the users."""
    rows = [("user", "role", "machines", "login")]
    for name, one in sorted(Access().all().users.items()):
        words = ", ".join(one.machines) or "all"
        rows.append((name, one.role, words, "password" if one.password else "proxy"))
    print_table(rows)


def sessions() -> None:
    """List links and sessions."""
    found = Access().all()
    rows = [("id", "role", "machines", "until", "uses left", "began with")]
    for name, one in found.links.items():
        words = ", ".join(one.machines) or "all"
        rows.append((name, one.role, words, _clock(one.expires), str(one.uses), ""))
    for name, each in found.sessions.items():
        words = ", ".join(each.machines) or "all"
        rows.append((name, each.role, words, _clock(each.expires), "", each.link or each.user))
    print_table(rows)


def revoke(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Links and sessions to end, or users.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="End all of them.")] = False,
) -> None:
    """End links and sessions.

    Open pages are disconnected within a second. The end of a link ends the sessions that began with
    it. A user's name ends all sessions of the user, who can log in again.
    """
    if bool(ids) == everything:
        raise UsageError("give the ids of links or sessions, or --all (see kju web sessions)")
    for name in Access().revoke(ids or [], everything=everything):
        print(f"{name} has ended")


def seconds(text: str) -> float:
    """Return the seconds of a time such as ``30m``.

    Raises:
        UsageError: It is not a number and one of s, m, h, d.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(f"invalid time {text!r}; write a number and s, m, h or d, such as 1h")
    return float(int(found[1]) * _UNITS[found[2]])


def _address(text: str) -> tuple[Path | None, str, int]:
    """Return the path of ``unix:PATH`` or None, and the host and the port of ``HOST:PORT``.

    Raises:
        UsageError: It has another form.
    """
    if text.startswith(UNIX):
        return Path(text.removeprefix(UNIX)).expanduser().absolute(), "", 0
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})", text)
    if found is None or int(found[3]) > 65535:
        raise UsageError(
            f"--listen: invalid address {text!r}; write HOST:PORT, or unix:PATH for a proxy"
        )
    return None, found[1] or found[2], int(found[3])


def _certificate(
    address: str, certificate: Path | None, key: Path | None, *, https: bool
) -> ServerCertificate | None:
    """Return the certificate to use; None for plain HTTP.

    Raises:
        UsageError: One is missing or not valid.
    """
    from ..web.tls import ServerCertificate

    if (certificate is None) != (key is None):
        raise UsageError("give both --certificate and --key")
    if certificate is not None and key is not None:
        return ServerCertificate(certificate, key)
    own = default_folder() / "web.pem"
    is_local = address in ("localhost", "127.0.0.1", "::1")
    if own.exists() and (https or not is_local):
        return ServerCertificate(own, own.with_suffix(".key"))
    if https:
        raise UsageError("--https needs a certificate: make one with kju cert web")
    return None


def _check_name(name: str) -> None:
    """Check the name of a machine, or of a screen of another computer such as ``host1/debian``.

    Raises:
        UsageError: It is not valid.
    """
    (check_screen if "/" in name else check_name)(name)


def _check_connect(names: list[str], connect: list[str]) -> None:
    """Check that names of other computers' screens and ``--connect`` are given together.

    Raises:
        UsageError: They are not.
    """
    far = [name for name in names if "/" in name]
    if far and not connect:
        raise UsageError(f"{far[0]} is on another computer: add --connect HOST:PORT")
    if connect and names and not far:
        raise UsageError(
            "--connect: none of the given machines is on another computer; name one such as"
            " host1/debian, or give no names"
        )


def _role(text: str) -> WebRole:
    """Return a role.

    Raises:
        UsageError: It is not a role.
    """
    for role in WEB_ROLES:
        if role == text:
            return role
    raise UsageError(f"a role is one of: {', '.join(WEB_ROLES)}; not {text!r}")


def _ask_password(name: str) -> str:
    """Ask for a password twice, without showing it.

    Raises:
        UsageError: There is no terminal, or the two differ.
    """
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask at: give --password-file FILE, or - for standard input"
        )
    first = getpass.getpass(f"Password of {name}: ")
    if getpass.getpass("The same again: ") != first:
        raise UsageError("the two passwords differ: nothing was changed")
    return first


def _read_password(file: Path) -> str:
    """Return the first line of a file, or of standard input for ``-``."""
    data = sys.stdin.buffer.readline() if str(file) == "-" else read_file(file, _MAX_PASSWORD_FILE)
    try:
        return data.partition(b"\n")[0].removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise UsageError("the password is not UTF-8") from None


def _clock(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def _is_journal() -> bool:
    """Return whether standard output is a log of systemd (``$JOURNAL_STREAM``, systemd.exec(5))."""
    status = os.fstat(sys.stdout.fileno())
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


web = group(
    default="serve",
    serve=serve,
    link=link,
    user=user,
    users=users,
    sessions=sessions,
    revoke=revoke,
)
