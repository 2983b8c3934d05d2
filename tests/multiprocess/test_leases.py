"""Machines with a lease: real hosts that end with it, whatever happens to its holder."""

from __future__ import annotations

import os
import signal
import time

import pytest
from support import xservers
from support.wait import until

import kju
from kju.client.launching import launched
from kju.client.requests import client_name
from kju.errors import KjuError, UsageError
from kju.protocol.launch_options import Launch
from kju.protocol.leases import Lease, Renew
from kju.protocol.messages import Done
from kju.store import running
from kju.store.leased import lease_clock, leased_machines
from kju.store.paths import kept_logs_folder, machine_paths


@pytest.fixture(autouse=True)
def folders(own_folders: None) -> None:
    xservers.need()


def start(seconds: float, name: str = "leased") -> kju.Machine:
    """Start a machine with a lease of so many seconds, or of more if its start takes longer."""
    until_ = lease_clock() + seconds
    lease = Lease(holder="lab/n1", generation=1, until=until_, facts={"name": name})
    request = Launch(machine=name, emulator="xvfb", detach=True, client=client_name(), lease=lease)
    try:
        return launched(request)
    except KjuError as error:
        if not 0 < seconds < 100 or "did not renew it" not in str(error):
            raise
    return start(2 * seconds, name)


def emulator_pid(machine: kju.Machine) -> int:
    return int(machine_paths(machine.name).pid.read_text().splitlines()[1].split()[0])


def is_gone(pid: int) -> bool:
    return running.start_time(pid) == 0


def renew(machine: kju.Machine, seconds: float, *, holder: str = "lab/n1") -> None:
    request = Renew(holder=holder, generation=1, until=lease_clock() + seconds)
    machine._link.ask(request, Done)


def test_a_machine_ends_with_its_lease_and_leaves_no_process() -> None:
    machine = start(4)
    host, child, log = machine.host_pid, emulator_pid(machine), machine.log
    assert log.is_file()
    until(lambda: not machine.is_alive, "the machine has ended")
    assert "lab/n1 did not renew it" in (machine.end_reason or "")
    until(lambda: is_gone(host) and is_gone(child), "no process is left")
    assert running.names() == []
    assert "lease has ended" in (kept_logs_folder() / "leased" / "host.log").read_text()
    machine.close()


def test_a_renewed_machine_lives_on() -> None:
    with start(5) as machine:
        first = lease_clock() + machine.info()["lease"]["seconds"]
        while lease_clock() < first + 1:
            renew(machine, 5)
            time.sleep(0.2)
        lease = machine.info()["lease"]
        assert (lease["holder"], lease["generation"]) == ("lab/n1", 1)
        assert 0 < lease["seconds"] <= 5
        with pytest.raises(UsageError, match="that of lab/n1"):
            renew(machine, 60, holder="lab/n2")
        machine.stop()


def test_a_machine_without_a_lease_is_not_renewed() -> None:
    with kju.launch(xvfb=True) as machine:
        assert "lease" not in machine.info()
        with pytest.raises(UsageError, match="has no lease"):
            renew(machine, 60)


def test_a_stopped_host_ends_when_it_goes_on_and_takes_no_renewal() -> None:
    machine = start(5)
    host, child = machine.host_pid, emulator_pid(machine)
    os.kill(host, signal.SIGSTOP)
    ends_at = lease_clock() + machine_lease_left()
    until(lambda: lease_clock() > ends_at, "the lease has ended")
    number = machine._link.begin(Renew(holder="lab/n1", generation=1, until=lease_clock() + 60))
    os.kill(host, signal.SIGCONT)
    with pytest.raises(KjuError):
        machine._link.finish(number, 30)
        until(lambda: not machine.is_alive, "the machine has ended")
        machine.info()
    until(lambda: is_gone(host) and is_gone(child), "no process is left")
    machine.close()


def machine_lease_left() -> float:
    (found,) = leased_machines("lab/n1")
    return found.lease.until - lease_clock()


def test_a_lease_that_ended_before_the_start_starts_nothing() -> None:
    with pytest.raises(KjuError, match="did not renew it"):
        start(-1)
    assert running.names() == []


def test_leased_machines_are_found_even_if_their_host_does_not_answer() -> None:
    with kju.launch(xvfb=True, name="other"):
        machine = start(60)
        os.kill(machine.host_pid, signal.SIGSTOP)
        found = list(leased_machines("lab/n1"))
        assert [(each.name, each.lease.generation) for each in found] == [("leased", 1)]
        assert found[0].lease.facts == {"name": "leased"}
        assert list(leased_machines("lab/n2")) == []
        running.kill("leased")
        assert list(leased_machines("lab/n1")) == []
        machine.close()
