"""Debian packages: downloaded and unpacked into a cache folder, without installing them.

apt runs with a state folder of its own. So nothing on this computer changes, broken sources do not
matter, and every Debian gets the packages of the same release: all computers test and measure the
same guest. The mirror is the one in this computer's own sources.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import KjuError
from ..files import Folder

RELEASE = "bookworm"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
#: The environment variable with the address of a Debian archive, for a computer whose own sources
#: name none; apt checks the archive's signatures.
ARCHIVE = "KJU_DEBIAN_ARCHIVE"
APT_SOURCES = Path("/etc/apt")


class GuestError(KjuError):
    """A guest cannot be built on this computer; the message has the reason and the next step."""


def cache() -> Path:
    """Return the folder of all downloads and built guests; it may be deleted at any time.

    Raises:
        FileError: The folder cannot be made, is another user's, or is writable by others.
    """
    with _open_cache() as folder:
        return folder.path


def _open_cache() -> Folder:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Folder.open(Path(base) / "kju" / "guests", create=True, follow_own_link=True)


@contextlib.contextmanager
def locked() -> Iterator[Folder]:
    """Let one process at a time download and build; the next one finds the result.

    Yields:
        The folder `cache`, open.

    Raises:
        FileError: The folder cannot be used: see `cache`.
    """
    with _open_cache() as folder, folder.lock("lock"):
        yield folder


@contextlib.contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Yield a new folder that gets its name only when it is complete."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        yield new
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a program and return its output.

    Raises:
        GuestError: The program is missing, or has failed.
    """
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=cwd,
            check=False,
            capture_output=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise GuestError(
            f"{command[0]} is not installed; guests are built from Debian packages, which needs"
            " apt, dpkg and qemu-utils (on Debian: apt install dpkg-dev qemu-utils)"
        ) from error
    if done.returncode:
        words = " ".join(str(word) for word in command[:3])
        raise GuestError(f"{words} ... failed: {(done.stderr or done.stdout).strip()[-800:]}")
    return done.stdout


def mirrors() -> list[str]:
    """Return the addresses of the Debian archives in this computer's sources.

    The files are read without apt, which prints nothing if one source is malformed.

    Raises:
        GuestError: The sources name no archive, and `ARCHIVE` is not set.
    """
    files = [APT_SOURCES / "sources.list", *sorted((APT_SOURCES / "sources.list.d").glob("*.*"))]
    lines = [
        line
        for file in files
        if file.suffix in {".list", ".sources"} and file.is_file()
        for line in file.read_text(errors="replace").splitlines()
        if not line.lstrip().startswith("#")
    ]
    found = re.findall(r"\S+?:\S*/debian(?:\.list|/)?(?=\s|$)", "\n".join(lines))
    if named := os.environ.get(ARCHIVE):
        found = [named]
    if not found:
        raise GuestError(
            "no apt source of this computer names a Debian archive, from which guests are built:"
            f" set {ARCHIVE} to the address of one"
        )
    return list(dict.fromkeys(address.rstrip("/") for address in found))


class Apt:
    """apt with its own sources, lists and cache.

    Raises:
        GuestError: The package lists cannot be read.
    """

    def __init__(self) -> None:
        self._folder = cache() / "apt"
        for name in ("state/lists/partial", "cache/archives/partial", "parts"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        status = self._folder / "state" / "status"
        status.touch()
        self._options = [
            f"-oDir::State={self._folder / 'state'}",
            f"-oDir::State::status={status}",
            f"-oDir::Cache={self._folder / 'cache'}",
            f"-oDir::Etc::SourceList={self._folder / 'sources.list'}",
            f"-oDir::Etc::SourceParts={self._folder / 'parts'}",
            f"-oDir::Etc::Preferences={self._folder / 'preferences'}",
            f"-oDir::Etc::PreferencesParts={self._folder / 'parts'}",
            "-oAPT::Sandbox::User=root",
            "-oAPT::Architecture=amd64",
            "-oAPT::Architectures=amd64",
            "-oAcquire::Languages=none",
            "-oAcquire::http::Timeout=20",
            "-oAcquire::Retries=1",
            "-oAPT::Update::Error-Mode=any",  # otherwise a failed download is a warning
        ]
        signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
        addresses = mirrors()
        lines = (f"deb {signed}{address} {RELEASE} main\n" for address in addresses)
        (self._folder / "sources.list").write_text("".join(lines))
        try:
            run("apt-get", *self._options, "-qq", "update")
        except GuestError as error:  # one of several mirrors may be down
            if not list((self._folder / "state" / "lists").glob("*_Packages*")):
                raise GuestError(
                    f"apt could not read the package lists of {', '.join(addresses)}; check the"
                    f" network connection, then try again ({error})"
                ) from error

    def depends(self, package: str) -> list[str]:
        """Return the names of a package's direct dependencies, alternatives included."""
        listing = run("apt-cache", *self._options, "depends", package)
        lines = [line.strip().lstrip("|") for line in listing.splitlines()]
        return [line.split()[1] for line in lines if line.startswith(("Depends:", "PreDepends:"))]

    def closure(self, packages: Sequence[str]) -> list[str]:
        """Return the names of packages and of all their dependencies."""
        words = ["-qq", "-y", "--no-install-recommends", "--print-uris", "install", *packages]
        listing = run("apt-get", *self._options, *words)
        return re.findall(r"^'\S+' ([^_\s]+)_", listing, re.MULTILINE)

    def version(self, package: str) -> str:
        """Return the newest version of a package."""
        shown = run("apt-cache", *self._options, "show", "--no-all-versions", package)
        return next(line.split()[1] for line in shown.splitlines() if line.startswith("Version:"))

    def download(self, packages: Sequence[str], folder: Path) -> list[Path]:
        """Download packages into a folder; return the files.

        Raises:
            GuestError: A package is unknown, or the archive does not answer.
        """
        before = set(folder.glob("*.deb"))
        try:
            run("apt-get", *self._options, "-qq", "download", *packages, cwd=folder)
        except GuestError as error:
            raise GuestError(
                f"apt could not download {', '.join(packages)}; check the network connection,"
                f" then try again ({error})"
            ) from error
        return sorted(set(folder.glob("*.deb")) - before)


def unpack(package: Path, folder: Path, *patterns: str) -> None:
    """Unpack a package's files, or those that match the patterns, and delete the package.

    Raises:
        GuestError: The package cannot be unpacked.
    """
    if patterns:
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(package)],
            stdout=subprocess.PIPE,
        ) as stream:
            done = subprocess.run(
                ["tar", "-x", "-C", str(folder), "--wildcards", *patterns],
                stdin=stream.stdout,
                stderr=subprocess.PIPE,
                errors="replace",
                check=False,
            )
        if done.returncode:
            raise GuestError(f"cannot unpack {package.name}: {done.stderr.strip()[-800:]}")
    else:
        run("dpkg-deb", "-x", package, folder)
    package.unlink()


def safe(version: str) -> str:
    """Return a version with characters that a file name may contain."""
    return version.replace(":", "-").replace("/", "-")
