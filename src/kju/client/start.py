"""Starting a host process: the one place where kju starts itself."""

from __future__ import annotations

import os
import site
import socket
import subprocess
import sys
from pathlib import Path

from ..files import limited


def start_host() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a host that waits for its `Launch` on the socket that is returned.

    It has a session of its own, so that neither a terminal's Ctrl-C nor its end reach it:
    whether the machine lives on is decided by the connection. What is to be launched goes
    through the socket, never through a command line that others could read.

    Raises:
        LimitError: This process can open no more files.
        OSError: It could not be started otherwise.
    """
    with limited():
        ours, theirs = socket.socketpair()
    with theirs:
        # -P: what lies in the working directory must not be imported as a module.
        command = [sys.executable, "-P", "-m", "kju.host", str(theirs.fileno())]
        try:
            with limited():
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    env=_environment(),
                )
        except BaseException:
            ours.close()
            raise
    return process, ours


def reap(child: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for a host to end."""
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        # It has its own limits and they are shorter: it must hang. QEMU dies with it.
        child.kill()
        child.wait()


def _environment() -> dict[str, str]:
    """Ours, and the place this very package was imported from."""
    home = str(Path(__file__).parents[2])
    path = os.environ.get("PYTHONPATH", "")
    # Only a path that the program itself put in front needs to be handed on; a package that
    # is installed is found by its own means, and its folder must not come before the
    # standard library's.
    known = {*path.split(os.pathsep), *site.getsitepackages(), site.getusersitepackages()}
    if home not in sys.path or home in known:
        return dict(os.environ)
    return os.environ | {"PYTHONPATH": f"{home}{os.pathsep}{path}" if path else home}
