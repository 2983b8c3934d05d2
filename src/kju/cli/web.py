"""`kju web`: machines in a browser."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import extras
from ..errors import UsageError
from ..files import raise_descriptor_limit
from ..remote.trust import default_folder
from ..store.paths import check_name
from ..web.access import Access
from ..web.messages import WEB_ROLES, WebRole
from ..web.running import announced, running_urls
from .command import group, running_machines
from .network import until_signalled
from .output import print_table

if TYPE_CHECKING:
    from ..web.server import WebServer

#: The port, if none is given.
PORT = 7480
#: Seconds for which the first link is valid.
FIRST_LINK_LIFETIME = 600.0
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
) -> None:
    """Serve machines to browsers until Ctrl+C (this is what `kju web` does).

    It prints a link that can be used once, within ten minutes, with all rights on these machines.
    Other computers are served over TLS only.
    """
    extras.require("web", "a web server")
    from ..web.assets import INDEX, MISSING
    from ..web.server import WebOptions, WebServer
    from ..web.tls import ServerCertificate

    raise_descriptor_limit()
    for name in names or []:
        check_name(name)
    address, port = _address(listen)
    if (certificate is None) != (key is None):
        raise UsageError("give both --certificate and --key")
    own = default_folder() / "web.pem"
    is_local = address in ("localhost", "127.0.0.1", "::1")
    used = None
    if certificate is not None and key is not None:
        used = ServerCertificate(certificate, key)
    elif own.exists() and (https or not is_local):
        used = ServerCertificate(own, own.with_suffix(".key"))
    elif https:
        raise UsageError("--https needs a certificate: make one with kju cert web")
    for each in host or []:
        if not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+", each):
            raise UsageError(
                f"--host: {each!r} is not a host name or address; write it without scheme and port"
            )
    for each in embed or []:
        if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?", each):
            raise UsageError(f"--embed: {each!r} is not an origin; write https://HOST")
    options = WebOptions(address, port, used, host or [], embed or [])
    access = Access()
    server = WebServer(names or [], options, access=access)
    if server.site.assets.find(INDEX) is None:
        print(f"kju: {MISSING}", file=sys.stderr)

    until_signalled(_serve(server, access, names or []))


async def _serve(server: WebServer, access: Access, names: list[str]) -> None:
    """Serve until this is cancelled; the first link is printed when the server is ready."""
    with contextlib.ExitStack() as stack:

        def ready() -> None:
            stack.enter_context(announced(server.url, server.port))
            print(f"serving at {server.url}", flush=True)
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
        check_name(name)
    if role not in WEB_ROLES:
        raise UsageError(f"--role is one of: {', '.join(WEB_ROLES)}; not {role!r}")
    known: WebRole = "view" if role == "view" else "control" if role == "control" else "manage"
    urls = running_urls()
    if not urls:
        raise UsageError("no web server of yours is running: start one with kju web")
    made, secret = Access().make_link(
        known, machines=names or [], lifetime=seconds(expires), uses=uses
    )
    for url in urls:
        print(f"{url}#{secret}", flush=True)
    print(f"link {made}: {role}, {uses} uses; to end it: kju web revoke {made}", file=sys.stderr)


def sessions() -> None:
    """List links and sessions."""
    found = Access().all()
    rows = [("id", "role", "machines", "until", "uses left", "link")]
    for name, one in found.links.items():
        words = ", ".join(one.machines) or "all"
        rows.append((name, one.role, words, _clock(one.expires), str(one.uses), ""))
    for name, each in found.sessions.items():
        words = ", ".join(each.machines) or "all"
        rows.append((name, each.role, words, _clock(each.expires), "", each.link))
    print_table(rows)


def revoke(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Links and sessions to end.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="End all of them.")] = False,
) -> None:
    """End links and sessions.

    Open pages are disconnected within a second. The end of a link ends the sessions that began with
    it.
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


def _address(text: str) -> tuple[str, int]:
    """Return the host and the port of ``HOST:PORT``.

    Raises:
        UsageError: It has another form.
    """
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})", text)
    if found is None or int(found[3]) > 65535:
        raise UsageError(f"--listen: invalid address {text!r}; write HOST:PORT")
    return found[1] or found[2], int(found[3])


def _clock(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def _is_journal() -> bool:
    """Return whether standard output is a log of systemd (``$JOURNAL_STREAM``, systemd.exec(5))."""
    status = os.fstat(sys.stdout.fileno())
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


web = group(default="serve", serve=serve, link=link, sessions=sessions, revoke=revoke)
