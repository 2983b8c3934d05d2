"""A reverse proxy in front of the web server: who it is, whom it names, under which address.

Rules:

- A header is believed only on a connection of the proxy: from an address in ``--proxy``, or on a
  Unix socket. Every other request with it is treated as one without.
- The public address is given (``--url``), not taken from ``X-Forwarded-Proto`` or
  ``X-Forwarded-Host``. So a proxy that passes on what a client sent in these headers is harmless.
- ``X-Forwarded-For`` decides only whose wrong passwords are counted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ..errors import KjuError, UsageError
from .access_list import check_user
from .messages import WebRole

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")
_PATH = re.compile(r"/((?!\.)[A-Za-z0-9._~-]+/)*")
#: Headers that browsers or proxies set for other purposes.
_USED_HEADERS = {
    "authorization", "connection", "cookie", "host", "origin", "referer", "upgrade", "user-agent",
    "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
}  # fmt: skip
#: An address of X-Forwarded-For with a port, which some proxies add, or in brackets.
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\](?::\d{1,5})?|([0-9.]+):\d{1,5})", re.ASCII)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class ProxyError(KjuError):
    """A proxy has named a user in a wrong way. The text is for the browser."""


class PublicAddress(NamedTuple):
    """The address of the page in browsers.

    Attributes:
        scheme: ``https``, or ``http`` on loopback.
        host: The value of ``Host``: a name, and a port if it is not the usual one.
        path: The folder of the page, with slashes at both ends.
    """

    scheme: str
    host: str
    path: str

    @property
    def url(self) -> str:
        """The URL of the page."""
        return f"{self.scheme}://{self.host}{self.path}"


def public_address(url: str) -> PublicAddress:
    """Parse the public address of a server behind a proxy.

    Raises:
        UsageError: It is not one, or is not encrypted.
    """
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError:
        found, port = urlsplit(""), None
    host = found.netloc.rpartition(":")[0] if port is not None else found.netloc
    path = found.path or "/"
    path = path if path.endswith("/") else f"{path}/"
    if not _HOST.fullmatch(host) or not _PATH.fullmatch(path) or found.query or found.fragment:
        raise UsageError(f"--url: {url!r} is not an address; write https://HOST/ or more of a path")
    if found.scheme != "https" and not (found.scheme == "http" and host in _LOOPBACK):
        raise UsageError(f"--url: browsers must reach {host} by https")
    usual = {"https": 443, "http": 80}[found.scheme]
    shown = host.lower() if port in (None, usual) else f"{host.lower()}:{port}"
    return PublicAddress(found.scheme, shown, path)


class Proxy(NamedTuple):
    """A reverse proxy.

    Attributes:
        public: The address of the page behind it.
        peers: The addresses of its connections. A Unix socket has connections of the proxy only.
        header: The header with the name of the user whom it has authenticated; empty for none.
        role: The role of users without an entry of their own; None: they are refused.
    """

    public: PublicAddress
    peers: Sequence[Network] = ()
    header: str = ""
    role: WebRole | None = None

    def is_peer(self, address: str) -> bool:
        """Return whether an IP address is one of the proxy."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self.peers)

    def user(self, headers: CIMultiDictProxy[str]) -> str:
        """Return the user whom the proxy names; empty for none.

        Raises:
            ProxyError: It names several, or the name is not valid.
        """
        named = headers.getall(self.header, []) if self.header else []
        if len(named) > 1:
            raise ProxyError(f"the request has several headers {self.header}: the proxy sets one")
        if not named or not named[0]:
            return ""
        try:
            return check_user(named[0])
        except UsageError as error:
            raise ProxyError(f"{self.header}: {error}") from None

    def client(self, headers: CIMultiDictProxy[str], address: str) -> str:
        """Return the address of the client, as the proxy has seen it.

        Args:
            headers: The headers of a request of the proxy.
            address: The address to return if the proxy names none.
        """
        named = ",".join(headers.getall("X-Forwarded-For", [])).split(",")
        for each in reversed([_without_port(one.strip()) for one in named]):
            try:
                ipaddress.ip_address(each)
            except ValueError:
                break  # everything before it is the client's own text
            if not self.is_peer(each):
                return each
        return address


def _without_port(text: str) -> str:
    found = _WITH_PORT.fullmatch(text)
    return found[1] or found[2] if found else text


def make_proxy(
    url: str, peers: Sequence[str], header: str = "", role: WebRole | None = None
) -> Proxy:
    """Return a proxy from the words of a command.

    Raises:
        UsageError: One of them is not valid.
    """
    networks = []
    for each in peers:
        try:
            networks.append(ipaddress.ip_network(each))
        except ValueError as error:
            raise UsageError(f"--proxy: {error}; write an address or ADDRESS/BITS") from None
        if networks[-1].prefixlen == 0:
            raise UsageError(f"--proxy: {each} is every computer; name the proxy's address")
    if header and (not _HEADER.fullmatch(header) or header.lower() in _USED_HEADERS):
        raise UsageError(
            f"--trust-header: {header!r} cannot name a user; choose one such as X-Remote-User"
        )
    return Proxy(public_address(url), networks, header, role)
