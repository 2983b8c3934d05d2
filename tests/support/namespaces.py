"""Network namespaces for tests of a `SimulatedLink`."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def need() -> None:
    """Skip a test where this process cannot make namespaces; a fault of the link fails it."""
    if shutil.which("ip") is None:
        pytest.skip("there is no ip here: apt install iproute2")
    name = f"kju-need-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=True)
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        pytest.skip(f"/dev/net/tun cannot be opened here: {error.strerror}")
