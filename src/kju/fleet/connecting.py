"""SHELL: a program's connection to a Ray cluster.

Ray tries for minutes to reach an address that it has recorded, or was given, where no cluster is.
So the address is looked at first.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import socket
from collections.abc import Iterable
from typing import Any

import ray

from ..errors import UnavailableError, UsageError
from .local import recorded_address

#: The namespace of all actors of kju.
NAMESPACE = "kju"
#: Seconds for a connection to the cluster, and for the first bytes of its answer.
CONNECT_TIMEOUT = 10.0
#: The addresses for which Ray finds, or starts, a cluster.
_AUTO, _LOCAL = "auto", "local"
#: The versions of a cluster and of this program in Ray's error.
_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")
#: What a client and a server of HTTP/2, and so of gRPC, send first (RFC 9113, 3.4): a fixed text,
#: and a frame of the type SETTINGS.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS = 4
_EMPTY_SETTINGS = bytes((0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0))
_NO_CLUSTER = "no Ray cluster is on this computer: start one with kju fleet up --local N"


def connect(address: str | None) -> None:
    """Connect this program to a Ray cluster, unless it is connected to that one.

    Args:
        address: ``HOST:PORT``; ``auto`` for the cluster of this computer; ``local`` for a new one,
            which ends with the program; ``ray://HOST:PORT`` for Ray Client. None is the one that
            the program is connected to, then ``RAY_ADDRESS``, then that of this computer, then a
            new one.

    Raises:
        UsageError: The address is not valid, or the program is connected to another cluster.
        UnavailableError: No cluster answers, or its versions are others.
    """
    if not isinstance(address, str | None) or address == "":
        raise UsageError(f"{address!r} is not the address of a Ray cluster: write HOST:PORT")
    if ray.is_initialized():
        _require_same(address)
        return
    found = _found_address() if address in (None, _AUTO) else address
    try:
        if found is not None and found != _LOCAL:
            _check(found)
        elif address is None:
            address = _LOCAL
    except UnavailableError as error:
        if address is not None or os.environ.get("RAY_ADDRESS"):
            text = f"{_NO_CLUSTER} ({error})" if address == _AUTO else str(error)
            raise UnavailableError(text) from error
        address = _LOCAL  # the recorded cluster has ended
    options: dict[str, Any] = {"include_dashboard": None}
    if address == _LOCAL:
        # Ray's ports trust everyone who reaches them.
        options = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(
            address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.WARNING,
            **options,
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(f"{address!r} cannot be used as the address: {error}") from error
    except ConnectionError as error:
        what = _NO_CLUSTER if address == _AUTO else f"no Ray cluster at {address}"
        raise UnavailableError(f"{what} ({_first_line(error)})") from error
    except RuntimeError as error:
        # Ray has no error type for this.
        versions = _VERSIONS.findall(str(error))
        if len(versions) != 2:
            raise UnavailableError(f"no Ray cluster at {address}: {error}") from error
        theirs, ours = (f"Ray {ray_} and Python {python}" for ray_, python in versions)
        raise UnavailableError(
            f"the Ray cluster at {found or address} runs {theirs}, and this program {ours}: Ray"
            " needs the same versions"
        ) from error


def named_actors(prefix: str) -> list[str]:
    """Return the names of kju's actors in the cluster that begin with a prefix, without it."""
    untyped: Any = ray.util
    found: Iterable[dict[str, str]] = untyped.list_named_actors(all_namespaces=True)
    names = [each["name"] for each in found if each["namespace"] == NAMESPACE]
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def _found_address() -> str | None:
    """Return the address that Ray would use by itself; None if it has recorded none."""
    if given := os.environ.get("RAY_ADDRESS"):
        return given
    try:
        return recorded_address().read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _check(address: str) -> None:
    """Check that a server of gRPC answers at an address, if it is one of host and port.

    Raises:
        UnavailableError: None does.
    """
    host, port = _host_and_port(address)
    if not host:
        return
    try:
        with socket.create_connection((host, port), CONNECT_TIMEOUT) as link:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
                return  # it answers after a handshake only
            link.sendall(_PREFACE + _EMPTY_SETTINGS)
            answer = link.recv(len(_EMPTY_SETTINGS), socket.MSG_WAITALL)
    except (OSError, OverflowError) as error:
        raise UnavailableError(f"no Ray cluster at {address}: {error}") from error
    if answer[3:4] != bytes((_SETTINGS,)):
        raise UnavailableError(f"no Ray cluster at {address}: another service answers there")


def _host_and_port(address: str) -> tuple[str, int]:
    """Return the parts of ``HOST:PORT``; an empty host for an address of another form."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return "", 0
    return host.strip("[]"), int(port)


def _require_same(address: str | None) -> None:
    """Check that this program is connected to the cluster at an address.

    Raises:
        UsageError: It is connected to another one.
    """
    untyped: Any = ray
    if address in (None, _AUTO) or untyped.util.client.ray.is_connected():
        return
    connected = ray.get_runtime_context().gcs_address
    wanted, own = _host_and_port(str(address)), _host_and_port(connected)
    if wanted[1] != own[1] or not _is_same_host(wanted[0], own[0]):
        raise UsageError(
            f"this program is connected to the Ray cluster at {connected}, and not at {address}:"
            " call ray.shutdown() first"
        )


def _is_same_host(one: str, other: str) -> bool:
    try:
        found, known = ({each[4][0] for each in socket.getaddrinfo(h, None)} for h in (one, other))
    except (OSError, UnicodeError):
        return False
    return bool(found & known) or (any(map(_is_own, found)) and any(map(_is_own, known)))


def _is_own(host: Any) -> bool:  # noqa: ANN401  the form depends on the address
    """Return whether an address is one of this computer."""
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
