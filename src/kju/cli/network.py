"""Screens on the network, for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

from .. import extras
from ..errors import UsageError
from ..escaping import one_line
from ..files import raise_descriptor_limit
from ..remote.certificates import Kind
from ..remote.endpoints import Endpoint, Options, endpoint
from ..remote.proof import Authenticator
from ..remote.transport import Engine
from ..remote.trust import Trust, default_folder
from ..serving import Server, anyone, find, refusals
from ..signals import ending_signals
from ..store.paths import local_network

#: Addresses that stand for all of a computer's.
_ANY = ("0.0.0.0", "[::]")  # noqa: S104


class Reach(NamedTuple):
    """How others are reached, as it was typed."""

    listen: Sequence[str] = ()
    connect: Sequence[str] = ()
    insecure: bool = False
    user: str = ""
    serves: bool = False

    def options(self, *, router: bool = False) -> Options:
        """As a session takes it; what is local needs no certificates.

        Raises:
            UsageError: A place is none, something leaves this computer unprotected, or there is no
                certificate here.
            MissingError: The extra ``remote`` is not installed.
        """
        extras.require("remote", "a screen on the network")
        listen = [self._endpoint(each) for each in self.listen]
        connect = [self._endpoint(each) for each in self.connect]
        encrypted = any(where.protocol in ("tls", "quic") for where in (*listen, *connect))
        if connect and encrypted and not (listen or router or self.user or self.serves):
            raise UsageError("say who you are there: --user NAME (see kju cert take)")
        kind: Kind = "router" if router else "host"
        tls = Trust(default_folder()).tls(self.user, kind) if encrypted else None
        made = Options(listen, connect, tls, router)
        made.check(insecure=self.insecure)
        return made

    def _endpoint(self, text: str) -> Endpoint:
        found = endpoint(text, "tcp")
        if "/" in text or found.is_local or self.insecure:
            return found
        return endpoint(text, "tls")

    def warn(self, options: Options, kind: Kind = "host") -> None:
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


def serve(names: Sequence[str], everything: bool, prefix: str, reach: Reach) -> None:
    """Serve until a signal."""
    raise_descriptor_limit()
    if bool(names) == everything:
        raise UsageError("name the machines to be served, or say --all")
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
            print("not encrypted: whoever reaches this may look and type", flush=True)

    with refusals.report_refusals():
        _until_signalled(server.run(ready))


def router(reach: Reach) -> None:
    """Route until a signal."""
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

    with refusals.report_refusals():
        _until_signalled(route())


class Way(NamedTuple):
    """How a mirror's pixels come, as it was typed."""

    audience: bool = False
    lossy: bool = False
    codec: str = ""


def mirror(address: str, name: str, view: bool, way: Way, reach: Reach, sender: str = "") -> None:
    """Start a mirror that outlives this command."""
    from ..client.machine import mirror

    options = reach._replace(connect=reach.connect or [local_network()]).options()
    machine = mirror(
        address,
        connect=[str(each) for each in options.connect],
        name=name or None,
        role="view" if view else "control",
        user=reach.user,
        audience=way.audience,
        lossy=way.lossy,
        codec=way.codec,
        sender=sender,
        trust=default_folder() if reach.user else None,
        insecure=reach.insecure,
        detach=True,
    )
    print(machine.name)
    machine.close()


def ls(connect: Sequence[str], user: str, insecure: bool, as_json: bool) -> None:
    """List the screens that are served."""
    options = Reach([], connect or [local_network()], insecure, user).options()
    names = asyncio.run(find(options))
    if as_json:
        print(json.dumps([{"address": f"zenoh:{name}"} for name in names]))
        return
    if not names:
        where = ", ".join(map(str, options.connect))
        print(f"no screen is served at {where}; serve one with: kju serve NAME", file=sys.stderr)
    for name in names:
        print(one_line(f"zenoh:{name}"))


def _until_signalled(work: Coroutine[Any, Any, None]) -> None:
    """Run until it ends, or a signal ends it."""

    async def run() -> None:
        task = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
