"""What a roster knows of a machine."""

from support.fleet_world import spec

from kju.fleet.messages import FleetState, MachineStatus
from kju.fleet.placement import Instance
from kju.fleet.records import MachineRecord


def test_a_record_names_the_newest_start_of_its_machine():
    record = MachineRecord(spec("a"), MachineStatus("a", FleetState.PLACING, 0), 1)
    assert record.instance == Instance("a", 0)
    record.status = MachineStatus("a", FleetState.STARTING, 1, "n")
    assert record.instance == Instance("a", 1)
    assert not record.held
