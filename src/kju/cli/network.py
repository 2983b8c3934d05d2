"""`kju serve`, `mirror`, `router` and `ls --remote`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json as json_format
import sys
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, NamedTuple

import typer

from .. import extras
from ..errors import UsageError
from ..escaping import one_line
from ..files import raise_descriptor_limit
from ..remote.addresses import Endpoint, SessionOptions, safe_endpoint
from ..remote.certificates import Kind
from ..remote.connection_errors import report_refusals
from ..remote.proof import Authenticator
from ..remote.transport import Engine
from ..remote.trust import Trust, default_folder
from ..serving.server import Server, anyone, find
from ..signals import ending_signals
from ..store.paths import default_network, local_network
from ..wire.codecs import CODECS
from .command import Connect, Insecure, User, running_machines
from .output import progress, reporting

#: Addresses that stand for all addresses of a computer.
_ANY = ("0.0.0.0", "[::]")  # noqa: S104


Listen = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Address to listen on (default: a socket for programs on this computer only).",
    ),
]


class Reach(NamedTuple):
    """The addresses and the user of a command, as they were typed."""

    listen: Sequence[str] = ()
    connect: Sequence[str] = ()
    insecure: bool = False
    user: str = ""
    serves: bool = False

    def options(self, *, router: bool = False) -> SessionOptions:
        """Return the options of a session; local addresses need no certificates.

        Raises:
            UsageError: An address is invalid, a connection would be unencrypted, or a certificate
                is missing.
            MissingError: The extra ``remote`` is not installed.
        """
        extras.require("remote", "a screen on the network")
        listen = [self._endpoint("--listen", each) for each in self.listen]
        connect = [self._endpoint("--connect", each) for each in self.connect]
        encrypted = any(where.protocol in ("tls", "quic") for where in (*listen, *connect))
        if connect and encrypted and not (listen or router or self.user or self.serves):
            raise UsageError(
                "an encrypted connection needs your user name: --user NAME (its key is installed"
                " with kju cert take FILE)"
            )
        kind: Kind = "router" if router else "host"
        tls = Trust(default_folder()).tls(self.user, kind) if encrypted else None
        made = SessionOptions(listen, connect, tls, router)
        made.check(insecure=self.insecure)
        return made

    def _endpoint(self, option: str, text: str) -> Endpoint:
        try:
            return safe_endpoint(text, insecure=self.insecure)
        except UsageError as error:
            raise UsageError(f"{option}: {error}") from None

    def warn(self, options: SessionOptions, kind: Kind = "host") -> None:
        """Warn of addresses that this computer's certificate does not name."""
        if options.tls is None:
            return
        hosts = [each.host for each in options.listen if each.protocol in ("tls", "quic")]
        named = [each for each in hosts if each not in _ANY]
        missing = Trust(default_folder()).unnamed(named, kind)
        if missing:
            words = ", ".join(missing)
            print(
                f"the certificate of this computer does not name {words}, so clients that"
                f" connect there reject it; make another: kju cert {kind} {' '.join(missing)} ...",
                file=sys.stderr,
            )


def reach_to(connect: Sequence[str] | None, user: str, insecure: bool) -> Reach:
    """Return the addresses and the user of a viewer; without addresses the default ones."""
    default = default_network()
    if connect:
        return Reach([], connect, insecure, user)
    return Reach([], default.connect, insecure, user or default.user)


def serve(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Running machines; see `kju ls`.",
            autocompletion=running_machines,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Serve every machine, also those started later.")
    ] = False,
    listen: Listen = None,
    connect: Connect = None,
    prefix: Annotated[
        str,
        typer.Option(
            metavar="PREFIX", help="Put PREFIX before machine names (default: the host name)."
        ),
    ] = "",
    insecure: Insecure = False,
) -> None:
    """Serve machines' screens on the network until Ctrl+C."""
    serve_machines(names or [], everything, prefix, Reach(listen or [], connect or [], insecure))


def serve_machines(names: Sequence[str], everything: bool, prefix: str, reach: Reach) -> None:
    """Serve machines until a signal arrives."""
    raise_descriptor_limit()
    if bool(names) == everything:
        raise UsageError("give machine names, or --all (not both)")
    if not (reach.listen or reach.connect):
        reach = reach._replace(listen=[local_network()])
    options = reach._replace(serves=True).options()
    reach.warn(options)
    proves = options.tls or (options.connect and not reach.insecure)
    trust = Trust(default_folder()) if proves else None
    admit = functools.partial(Authenticator, trust) if trust and trust.is_host else anyone
    server = Server(names, prefix=prefix, options=options, admit=admit, insecure=reach.insecure)

    def ready() -> None:
        where = ", ".join(
            [*(f"at {each}" for each in reach.listen), *(f"through {e}" for e in reach.connect)]
        )
        for served in server.served.values():
            for name in served.names:
                print(f"serving zenoh:{name} {where}", flush=True)
        if everything:
            print(f"serving every machine as zenoh:{server.prefix}/NAME {where}", flush=True)
        if options.tls is None and any(each.protocol == "tcp" for each in options.listen):
            print("not encrypted: everyone who can connect may view and control", flush=True)

    with report_refusals():
        until_signalled(server.run(ready))


def router(listen: Listen = None, connect: Connect = None, insecure: Insecure = False) -> None:
    """Forward messages between senders and viewers.

    It runs until Ctrl+C.
    """
    route_messages(Reach(listen or [], connect or [], insecure))


def route_messages(reach: Reach) -> None:
    """Route messages until a signal arrives."""
    raise_descriptor_limit()
    reach = reach if reach.listen else reach._replace(listen=[local_network()])
    options = reach.options(router=True)
    reach.warn(options, "router")

    async def route() -> None:
        engine = await Engine.open(options)
        print(f"routing at {', '.join(map(str, options.listen))}", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            await engine.close()

    with report_refusals():
        until_signalled(route())


def mirror(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Such as zenoh:lab/host1/debian.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the mirror.")] = "",
    connect: Connect = None,
    view: Annotated[bool, typer.Option("--view", help="Send no input.")] = False,
    audience: Annotated[
        bool, typer.Option("--audience", help="Send no input; share one stream with other viewers.")
    ] = False,
    user: User = "",
    insecure: Insecure = False,
    lossy: Annotated[
        bool,
        typer.Option(
            "--lossy/--lossless",
            help="Send photographic areas as JPEG while they change, losslessly afterwards.",
        ),
    ] = False,
    codec: Annotated[
        str,
        typer.Option(metavar="CODEC", help=f"{', '.join(CODECS)} (default: fewest bytes)."),
    ] = "",
    sender: Annotated[
        str,
        typer.Option(metavar="NAME", help="Accept only this sender (default: the known one)."),
    ] = "",
) -> None:
    """Mirror a remote screen, as a machine on this computer.

    The mirror runs in the background.
    """
    from ..client.launching import mirror as start_mirror

    reach = reach_to(connect, user, insecure)
    options = reach.options()
    with progress(f"connecting to {address}"):
        machine = start_mirror(
            address,
            connect=[str(each) for each in options.connect],
            name=name or None,
            role="view" if view else "control",
            user=reach.user,
            audience=audience,
            lossy=lossy,
            codec=codec,
            sender=sender,
            trust=default_folder() if reach.user else None,
            insecure=insecure,
            detach=True,
        )
    with machine, reporting(machine):
        print(machine.name)


def list_screens(connect: Sequence[str], user: str, insecure: bool, as_json: bool) -> None:
    """List the screens that are served on the network."""
    options = reach_to(connect, user, insecure).options()
    names = asyncio.run(find(options))
    if as_json:
        print(json_format.dumps([{"address": f"zenoh:{name}"} for name in names]))
        return
    if not names:
        where = ", ".join(map(str, options.connect))
        print(f"no screen is served at {where}; serve one with: kju serve NAME", file=sys.stderr)
    for name in names:
        print(one_line(f"zenoh:{name}"))


def until_signalled(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine until it ends, or a signal ends it."""

    async def run() -> None:
        task = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
