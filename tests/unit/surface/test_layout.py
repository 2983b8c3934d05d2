"""The generated mirror of the header against what the C core writes."""

import subprocess
import sys
from pathlib import Path

from kju.surface import ProducerIdentity, State, layout, surface_size
from kju.surface.consumer import Consumer
from kju.surface.producer import Producer

ROOT = Path(__file__).resolve().parents[3]


def test_the_generated_layout_is_current():
    done = subprocess.run(
        [sys.executable, ROOT / "tools/gen_layout.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_layout_reads_fields_that_the_core_wrote():
    memory = bytearray(surface_size(4096, max_side=64))
    producer = Producer.format(
        memory, 4096, incarnation=77, max_side=64, identity=ProducerIdentity(11, 22, 33, True)
    )
    producer.set_mode(20, 10)
    producer.move_cursor(-3, 4, True)
    producer.set_state(State.PAUSED, "held")
    read = {f.name: f.read(memory) for f in layout.FIELDS}
    expected = {
        "magic": layout.MAGIC,
        "format": layout.FORMAT,
        "features": 0,
        "incarnation": 77,
        "size": len(memory),
        "tile_side": 32,
        "producer_pid": 11,
        "producer_start": 22,
        "producer_namespace": 33,
        "producer_locks": 1,
        "version": 1,
        "pulse": 3,
        "state": State.PAUSED,
        "sequence": 2,
        "epoch": 1,
        "width": 20,
        "height": 10,
        "stride": 80,
        "fourcc": layout.XR24,
        "cursor_x": -3,
        "cursor_y": 4,
        "cursor_visible": 1,
        "pixels_offset": Consumer(memory).reader.pixels_offset,
    }
    assert {name: read[name] for name in expected} == expected
    assert read["reason"].rstrip(b"\0") == b"held"
    assert {s.value: s.name.lower() for s in State} == layout.STATES


def test_fields_follow_one_another():
    end = 0
    for field in layout.FIELDS:
        assert 0 <= field.offset - end < 8
        assert field.offset % layout.TYPE_SIZES[field.type] == 0
        end = field.offset + field.size
    assert end <= layout.HEADER_SIZE
