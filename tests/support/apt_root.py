"""An apt with a root of its own, and an HTTP server with the archives that its sources name."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PACKAGES = b"Package: example\nVersion: 1\nArchitecture: all\nDescription: example\n\n"
REPOSITORY = Path(__file__).resolve().parents[2]
APT_SOURCES = REPOSITORY / "tools" / "apt-sources"
REFUSING = "http://127.0.0.1:9"  # a proxy that refuses every connection
LIBRARIES = ("report", "lacking", "debian", "python")  # of tools/setup


def release(origin: str, label: str, suite: str, codename: str) -> bytes:
    """Return the Release file of an archive with one package."""
    digest = hashlib.sha256(PACKAGES).hexdigest()
    return (
        f"Origin: {origin}\nLabel: {label}\nSuite: {suite}\nCodename: {codename}\n"
        "Date: Sat, 01 Nov 2025 00:00:00 UTC\nArchitectures: amd64\nComponents: main\n"
        f"SHA256:\n {digest} {len(PACKAGES)} main/binary-amd64/Packages\n"
    ).encode()


RELEASES = {
    "debian": {
        "bookworm": release("Debian", "Debian", "oldstable", "bookworm"),
        "stable": release("Debian", "Debian", "oldstable", "bookworm"),
        "bookworm-updates": release("Debian", "Debian", "oldstable-updates", "bookworm-updates"),
        "bookworm-backports": release(
            "Debian Backports", "Debian Backports", "oldstable-backports", "bookworm-backports"
        ),
    },
    "debian-security": {
        "bookworm-security": release(
            "Debian", "Debian-Security", "oldstable-security", "bookworm-security"
        ),
    },
    "without-backports": {"bookworm": release("Debian", "Debian", "oldstable", "bookworm")},
    "vendor": {"bookworm": release("Vendor", "Vendor", "bookworm", "bookworm")},
}
RELEASES["copy/debian"] = RELEASES["debian"]
RELEASES["mirror.example/debian"] = RELEASES["debian"]


@dataclass
class SigningKey:
    """A key of this session's own, as gpg holds it."""

    home: Path
    public: str  # ASCII armour
    path: Path  # the same, for Signed-By: PATH

    @classmethod
    def make(cls, folder: Path) -> SigningKey:
        home = folder / "gnupg"
        home.mkdir(mode=0o700)
        gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
        subprocess.run(
            [
                *gpg,
                "--passphrase",
                "",
                "--quick-gen-key",
                "test@example.org",
                "ed25519",
                "sign",
                "never",
            ],
            check=True,
            capture_output=True,
        )
        public = subprocess.run(
            [*gpg, "--armor", "--export"], check=True, capture_output=True, text=True
        ).stdout
        path = folder / "archive.asc"
        path.write_text(public)
        return cls(home, public, path)

    def sign(self, text: bytes) -> bytes:
        gpg = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--clearsign"]
        return subprocess.run(gpg, input=text, check=True, capture_output=True).stdout

    def end(self) -> None:
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "gpg-agent"], check=True)

    @property
    def embedded(self) -> str:
        """The value of a Signed-By field: continuation lines, an empty line being a dot."""
        return "".join(f"\n {line or '.'}" for line in self.public.splitlines())


@contextmanager
def archive(key: SigningKey) -> Iterator[str]:
    """Serve the archives on a port of this computer; yield the address.

    It answers as a proxy too: for any host the path decides.
    """
    files = {}
    for name, suites in RELEASES.items():
        for suite, text in suites.items():
            files[f"/{name}/dists/{suite}/InRelease"] = key.sign(text)
            files[f"/{name}/dists/{suite}/main/binary-amd64/Packages"] = PACKAGES

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path
            if path.startswith("http://"):
                path = "/" + path.removeprefix("http://").partition("/")[2]
            body = files.get(path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class AptRoot:
    """Apt's folders below one folder; `environment` makes apt use them."""

    folder: Path
    settings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in (
            "etc/apt/sources.list.d",
            "etc/apt/apt.conf.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/lib/dpkg",
        ):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "var/lib/dpkg/status").touch()
        lines = [
            f'Dir "{self.folder}";',
            f'Dir::State::status "{self.folder}/var/lib/dpkg/status";',
            'APT::Architecture "amd64";',
            'APT::Architectures "amd64";',
            'APT::Sandbox::User "";',
            'Acquire::Languages "none";',
            *self.settings,
        ]
        (self.folder / "apt.conf").write_text("\n".join(lines) + "\n")

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if "proxy" not in name.lower()}
        return kept | {"APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C"}

    def write(self, name: str, text: str) -> None:
        """Write a file of sources: sources.list, or one in sources.list.d."""
        where = "etc/apt" if name == "sources.list" else "etc/apt/sources.list.d"
        (self.folder / where / name).write_bytes(text.encode())

    def run(self, *words: str | Path) -> str:
        done = subprocess.run(
            list(map(str, words)), env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def update(self, parts: Path) -> str:
        """Run apt-get update with the sources in one folder, as far as they answer."""
        return self.run("apt-get", *self._only(parts), "update")

    def codenames(self, parts: Path) -> set[str]:
        """Return the codenames of the releases that the last update reached."""
        targets = self.run("apt-get", *self._only(parts), "indextargets", "--format", "$(CODENAME)")
        return {name for name in targets.split() if not name.startswith("$")}

    @staticmethod
    def _only(parts: Path) -> list[str]:
        return [
            "-o",
            "Dir::Etc::SourceList=/dev/null",
            "-o",
            f"Dir::Etc::SourceParts={parts}",
            "-o",
            "Acquire::Retries=0",
            "-o",
            "APT::Get::List-Cleanup=0",
        ]


def functions(checkout: Path, apt_root: AptRoot, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script with the set-up's functions and an apt of the test's own, as this user."""
    (checkout / "build").mkdir(exist_ok=True)
    head = "\n".join(
        [
            "set -euo pipefail",
            f"cd '{checkout}'; root=$PWD log=$PWD/build/setup.log venv=$PWD/.venv",
            ": >$log" if " " not in str(checkout) else ': >"$log"',
            "codename=bookworm newest_needed=9.2 on_debian=yes",
            *[f". tools/lib/{name}.bash" for name in LIBRARIES],
            'as_root() { "$@"; }',
            f"own_source='{apt_root.folder}/etc/apt/sources.list.d/kju-backports'",
            "trap 'end_tick; remove_added_source' EXIT",
            "trap 'exit 143' TERM",
        ]
    )
    return subprocess.run(
        ["bash", "-c", f"{head}\n{script}"],
        env=apt_root.environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
