"""The picture of a fleet: what the controller says, and what the nodes show."""

import pytest

from kju.errors import PeerError
from kju.fleet.messages import FleetState, MachineStatus
from kju.fleet.network.news import (
    MAX_MESSAGE,
    MAX_REASON,
    NOT_CONFIRMED,
    NOT_SHOWN,
    Envelope,
    FleetPicture,
    News,
    RunningStart,
    decode_envelope,
    decode_news,
    encode_envelope,
    encode_news,
    joined_news,
    start_key,
    start_of,
    state_key,
    what_of,
)

A = RunningStart("n1", "a", 1)
RUNS = MachineStatus("a", FleetState.RUNNING, 1, "n1")
BEGINS = MachineStatus("a", FleetState.STARTING, 1, "n1")


def news(count, *statuses, process=1):
    return News(process, count, statuses)


def answered(*changes, process=1, past=False, picture=None):
    """Return a picture with the answers of a controller, and the events by that."""
    picture = picture or FleetPicture()
    newest = {status.name: status for status in changes}.values()
    told = news(len(changes), *changes, process=process)
    return picture, picture.take_answers(
        news(len(changes), *newest, process=process), told, past=past
    )


def test_the_key_of_a_token_has_the_start():
    assert start_of(start_key("lab", A), "lab") == A
    for key in (
        "kju/fleet/lab/n1/a", "kju/fleet/lab/n1/a/x", "kju/fleet/lab/n1/a/1/2",
        "kju/fleet/lab/n1/a b/1", "kju/fleet/other/n1/a/1", f"kju/fleet/lab/n1/a/{1 << 60}",
        "kju/fleet/lab/n1/a/\N{SUPERSCRIPT TWO}", f"kju/fleet/lab/n1/a/{'9' * 5000}",
    ):  # fmt: skip
        assert start_of(key, "lab") is None


def test_a_question_has_a_subject():
    assert what_of(state_key("lab", "changes")) == "changes"
    assert what_of(state_key("lab", "statuses", 3)) == "statuses"
    assert what_of("kju/fleet-state/lab/*/*") is None
    assert what_of("kju/fleet-state/lab") is None


def test_a_long_message_is_parted_and_joined_in_any_order():
    many = [MachineStatus(f"m{n}", FleetState.LOST, 1, "n", 0.0, "x" * 500) for n in range(400)]
    parts = encode_news(7, 400, many)
    assert len(parts) > 3
    assert max(map(len, parts)) <= MAX_MESSAGE + 100
    decoded = [decode_news(part) for part in parts]
    whole = joined_news(reversed(decoded))
    assert whole is not None
    assert (whole.process, whole.count, list(whole.statuses)) == (7, 400, many)
    assert joined_news(decoded[1:]) is None
    # A part of an older message does not stand for one of this.
    old = [decode_news(part) for part in encode_news(7, 399, many)]
    assert joined_news([*decoded[:-1], old[-1]]) is None
    assert joined_news([]) is None


def test_a_reason_is_bounded_and_keeps_its_end():
    long = MachineStatus("a", FleetState.LOST, 1, "n", 0.0, "x" * 9999 + "the cause")
    (body,) = encode_news(1, 1, [long])
    (found,) = decode_news(body).statuses
    assert len(found.reason) == MAX_REASON
    assert found.reason.endswith("the cause")


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\x93\x01\x02\x03", b"\x91" * 3000])
def test_wrong_bytes_are_an_error(data):
    with pytest.raises(PeerError):
        decode_news(data)
    with pytest.raises(PeerError):
        decode_envelope(data)


def test_an_envelope_returns():
    assert decode_envelope(encode_envelope(Envelope(b"x", b"y"))) == Envelope(b"x", b"y")


def test_changes_are_reported_once_and_in_order():
    picture, (past, missed) = answered(BEGINS, past=True)
    assert (past, missed) == ([BEGINS], 0)
    assert picture.take_changes(news(2, RUNS)) == ([RUNS], 0)
    assert picture.take_changes(news(2, RUNS)) == ([], 0)
    assert picture.statuses() == [RUNS]
    # Two changes are missing between the second and the fifth.
    assert picture.take_changes(news(5, BEGINS)) == ([BEGINS], 2)


def test_a_restarted_controller_begins_anew():
    picture, _ = answered(BEGINS, RUNS, process=1)
    assert picture.take_changes(news(1, BEGINS, process=2)) == ([BEGINS], 0)
    assert picture.take_changes(news(9, RUNS, process=1)) == ([], 0)


def test_a_watcher_that_connects_again_gets_the_changes_in_between():
    picture, (first, _) = answered(BEGINS)
    assert first == []
    picture.forget_connection()
    _, (new, missed) = answered(BEGINS, RUNS, picture=picture)
    assert (new, missed) == ([RUNS], 0)


def test_a_token_adds_a_machine_that_the_controller_does_not_know_yet():
    picture, _ = answered()
    assert picture.take_token(A) == []
    assert picture.statuses() == [RUNS]


def test_without_a_controller_the_tokens_decide():
    picture = FleetPicture()
    assert picture.take_token(A) == [RUNS]
    assert picture.take_token(A) == []
    later = A._replace(generation=2, node="n2")
    assert [s.generation for s in picture.take_token(later)] == [2]
    # The end of the earlier start says nothing about the later one.
    assert picture.lose_token(A) == []
    (lost,) = picture.lose_token(later)
    assert (lost.state, lost.generation, lost.reason) == (FleetState.LOST, 2, NOT_SHOWN)
    assert picture.statuses() == [lost]


def test_a_token_that_ends_before_its_controller_is_a_loss():
    picture, _ = answered(RUNS)
    picture.take_token(A)
    # The controller would say why.
    assert picture.lose_token(A) == []
    assert picture.statuses() == [RUNS]
    (lost,) = picture.lose_controller()
    assert (lost.state, lost.reason) == (FleetState.LOST, NOT_SHOWN)


def test_a_lost_connection_says_nothing_about_machines():
    picture, _ = answered(RUNS)
    picture.take_token(A)
    picture.forget_connection()
    assert picture.lose_controller() == []
    (status,) = picture.statuses()
    assert (status.state, status.reason) == (FleetState.RUNNING, NOT_CONFIRMED)
    picture.take_token(A)
    assert picture.lose_unconfirmed() == []
    assert picture.statuses() == [RUNS]


def test_a_machine_that_nobody_confirms_is_lost_in_the_end():
    picture, _ = answered(RUNS)
    picture.forget_connection()
    (lost,) = picture.lose_unconfirmed()
    assert (lost.name, lost.state) == ("a", FleetState.LOST)
    assert picture.lose_unconfirmed() == []


def test_the_end_of_a_machine_stays_what_the_controller_said():
    ended = MachineStatus("a", FleetState.ENDED, 1, "n1", 0.0, "it was stopped")
    picture, _ = answered(RUNS, ended)
    picture.lose_controller()
    assert picture.lose_unconfirmed() == []
    assert picture.statuses() == [ended]


def test_starts_whose_end_both_sides_have_said_are_forgotten():
    picture, count = answered(RUNS)[0], 1
    for number in range(200):
        start = RunningStart("n1", f"b{number}", 1)
        picture.take_token(start)
        ended = MachineStatus(start.name, FleetState.ENDED, 1, "n1", since=float(number))
        count += 1
        # The end of the token arrives before the controller's word, or after it.
        if number % 2:
            picture.lose_token(start)
        picture.take_changes(news(count, ended))
        if not number % 2:
            picture.lose_token(start)
    assert picture._seen == set()
    # A token that has ended without the controller's word is lost with the controller.
    picture.take_token(A)
    picture.lose_token(A)
    assert [each.state for each in picture.lose_controller()] == [FleetState.LOST]


def test_machines_that_ended_first_are_forgotten_first(monkeypatch):
    monkeypatch.setattr("kju.fleet.network.news.MAX_KNOWN", 20)
    picture, count = answered(RUNS)[0], 1
    for number in range(100):
        count += 1
        ended = MachineStatus(f"b{number}", FleetState.ENDED, 1, "n1", since=float(number))
        picture.take_changes(news(count, ended))
    names = [status.name for status in picture.statuses()]
    assert "a" in names and "b99" in names and len(names) <= 21
