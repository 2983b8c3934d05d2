from kju.report.tail import Tail
from kju.store.log_files import BoundedLog


def test_only_new_lines_are_read(tmp_path):
    path = tmp_path / "input.jsonl"
    log = BoundedLog(path, note="")
    log.write(b"old\n")
    tail = Tail(path)
    assert tail.read() == []
    log.write(b"one\ntw")
    assert tail.read() == [b"one"]
    log.write(b"o\n")
    assert tail.read() == [b"two"]
    log.close()
    tail.close()


def test_full_log_continues_in_the_next_file(tmp_path):
    path = tmp_path / "input.jsonl"
    log = BoundedLog(path, limit=10, note="")
    tail = Tail(path)
    log.write(b"12345\n")
    log.write(b"6789\n")  # does not fit any more
    assert tail.read() == [b"12345", b"6789"]
    assert tail.read() == []
    log.close()
    tail.close()


def test_lines_before_the_end_are_read_after_it(tmp_path):
    path = tmp_path / "input.jsonl"
    log = BoundedLog(path, note="")
    tail = Tail(path)
    log.write(b"last\n")
    log.close()
    path.unlink()
    assert tail.read() == [b"last"]
    tail.close()


def test_log_that_appears_later_is_read(tmp_path):
    path = tmp_path / "input.jsonl"
    tail = Tail(path)
    assert tail.read() == []
    path.write_bytes(b"first\n")
    assert tail.read() == [b"first"]
    tail.close()
    tail.close()
