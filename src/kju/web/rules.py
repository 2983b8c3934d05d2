"""The rules of HTTP requests: hosts, origins, headers of answers. I/O-free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Self

from .proxy import PublicAddress

#: A page's scripts, styles and pictures come from the server only. It may compile WebAssembly, and
#: use no string as HTML or script.
_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';"
    " img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self'; connect-src 'self';"
    " worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)


def headers(embedders: Iterable[str] = ()) -> Mapping[str, str]:
    """Return the headers of every answer.

    Args:
        embedders: Origins whose pages may have this server's pages in an iframe.
    """
    allowed = " ".join(embedders)
    ancestors = allowed or "'none'"
    made = {
        "Content-Security-Policy": f"{_POLICY}; frame-ancestors {ancestors}",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
        "Cross-Origin-Resource-Policy": "cross-origin" if allowed else "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    if not allowed:
        made["X-Frame-Options"] = "DENY"
    return made


class AllowedHosts:
    """The values of ``Host`` that reach this server, so that no other name does (DNS rebinding).

    Args:
        names: Host names and addresses, IPv6 without brackets.
        port: The port of browsers.
        secure: Browsers use TLS.

    Attributes:
        secure: The same.
        cookie: The name of the session's cookie.
    """

    def __init__(self, names: Iterable[str], port: int, *, secure: bool) -> None:
        scheme, usual = ("https", 443) if secure else ("http", 80)
        bare = {f"[{name}]" if ":" in name else name.lower() for name in names}
        self._hosts = {f"{name}:{port}" for name in bare}
        if port == usual:
            self._hosts |= bare
        self._scheme = scheme
        self.secure = secure
        self.cookie = cookie_name(port, secure=secure)

    @classmethod
    def behind(cls, public: PublicAddress) -> Self:
        """Return the only host of a server behind a proxy."""
        secure = public.scheme == "https"
        found = re.fullmatch(r"\[?(.*?)\]?(?::(\d+))?", public.host)
        name, port = found.groups() if found else (public.host, None)
        return cls([name], int(port or (443 if secure else 80)), secure=secure)

    def has(self, host: str | None) -> bool:
        """Return whether a ``Host`` is one of this server."""
        return host is not None and host.lower() in self._hosts

    def is_own_origin(self, origin: str | None, host: str | None) -> bool:
        """Return whether an ``Origin`` is that of this server's page at this ``Host``."""
        if origin is None or not self.has(host):
            return False
        return origin.lower() == f"{self._scheme}://{host}".lower()


def cookie_name(port: int, *, secure: bool) -> str:
    """Return the name of the session's cookie.

    Cookies of one host are shared by all its ports, so the name has the port. The prefix has the
    browser check that the cookie was set over TLS, for this host only.
    """
    return f"__Host-kju-{port}" if secure else f"kju-{port}"
