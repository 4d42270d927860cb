"""The journal holds through kills and power failures, and tells what it lost."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energy_plugin.errors import ResultsError, UsageError
from energy_plugin.record.heads import heads
from energy_plugin.record.journal import NAME, Journal, lines, read_journal, records, session_facts
from energy_plugin.record.record import record_from_json
from tests.unit.test_records import GOLDEN

if TYPE_CHECKING:
    import random
    from pathlib import Path

T = "2026-11-21T19:00:00+00:00"
GOOD = b'{"event":"idle","t_utc":"","baseline":{}}\n'


def kinds(folder: Path) -> list[str]:
    return [event["event"] for event in read_journal(folder)]


def write(folder: Path, *parts: bytes) -> Path:
    (folder / NAME).write_bytes(b"".join(parts))
    return folder


def golden_record(index: int = 0) -> dict[str, Any]:
    found: list[dict[str, Any]] = [e["record"] for e in read_journal(GOLDEN) if e["event"] == "attempt-end"]
    return found[index]


def test_a_torn_last_line_is_passed_over_and_cut_off_before_the_next_event(tmp_path: Path) -> None:
    write(tmp_path, GOOD, b'{"event":"att')
    assert kinds(tmp_path) == ["idle"]
    journal = Journal(tmp_path)
    journal.append("session-end", T)
    journal.close()
    assert journal.cut_bytes == 13
    assert kinds(tmp_path) == ["idle", "session-end"]


@pytest.mark.parametrize("size", [1, 100, 65535, 65536, 65537, 200_000])
def test_a_tear_of_any_length_is_cut_off_at_the_last_newline(tmp_path: Path, size: int) -> None:
    write(tmp_path, GOOD, b"\0" * size)
    Journal(tmp_path).close()
    assert (tmp_path / NAME).read_bytes() == GOOD


def test_a_last_line_whose_newline_alone_reached_the_disk_is_cut_off(tmp_path: Path) -> None:
    write(tmp_path, GOOD, b'{"event":"attempt-end","case_key":"a"' + b"\0" * 100 + b"}}\n")
    assert next(heads(tmp_path))["event"] == "idle"
    assert Journal(tmp_path).cut_bytes == 140
    assert (tmp_path / NAME).read_bytes() == GOOD


@pytest.mark.parametrize("content", [b"", b"{", b"\n", b'{"event":\n'])
def test_a_journal_that_was_never_begun_is_empty(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, content)
    Journal(tmp_path).close()
    assert kinds(tmp_path) in ([], ["damaged"])
    assert (tmp_path / NAME).read_bytes() in (b"", b"\n")


def test_a_damaged_line_elsewhere_is_told_with_its_number(tmp_path: Path) -> None:
    write(tmp_path, GOOD, b'{"event":\n', GOOD)
    assert list(read_journal(tmp_path))[1] == {"event": "damaged", "line": 2, "bytes": 10}
    assert kinds(tmp_path) == ["idle", "damaged", "idle"]
    assert [event["event"] for event in heads(tmp_path)] == ["idle", "damaged", "idle"]


def test_an_event_behind_a_tear_is_not_lost(tmp_path: Path) -> None:
    write(tmp_path, b'{"event":"attempt-end","rec{"event":"sess', GOOD, GOOD)
    assert kinds(tmp_path) == ["damaged", "idle", "idle"]
    assert [event["event"] for event in heads(tmp_path)] == ["damaged", "idle", "idle"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**6), max_size=6), st.randoms(use_true_random=False))
def test_after_any_cuts_and_resumes_every_whole_event_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, tears: list[int], chance: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    written = []
    for tear in tears:
        journal = Journal(folder)
        for number in range(chance.randint(0, 3)):
            journal.append("idle", T, baseline={"at": [tear, number]})
            written.append([tear, number])
        journal.close()
        line = json.dumps({"event": "session-end", "t_utc": T}).encode()
        with (folder / NAME).open("ab") as file:
            file.write(line[: tear % len(line)])
    if tears:
        assert [e["baseline"]["at"] for e in read_journal(folder) if e["event"] == "idle"] == written


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    with pytest.raises(UsageError, match="another run is writing"):
        Journal(tmp_path)
    first.close()
    first.close()
    Journal(tmp_path).close()


def test_a_line_that_does_not_fit_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    journal.append("idle", T, baseline={})
    real = os.write
    monkeypatch.setattr(os, "write", lambda number, line: real(number, line[:7]))
    with pytest.raises(ResultsError, match="only 7 of"):
        journal.append("session-end", T)
    monkeypatch.undo()
    journal.append("session-end", T)
    journal.close()
    assert kinds(tmp_path) == ["idle", "session-end"]


def test_heads_tell_of_an_attempt_what_its_record_does(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for index in (0, 9, 1):
        journal.end(T, record_from_json(golden_record(index)), "f" if index == 9 else "")
    journal.close()
    found = list(heads(tmp_path))
    assert [(event["success"], event["reason"], event["failure"]) for event in found] == [
        (True, "", ""),
        (False, "exit-code", "f"),
        (True, "", ""),
    ]
    for event, record in zip(found, records(tmp_path), strict=True):
        assert "record" not in event
        assert event["case_key"] == record.case_key
        assert event["experiment_id"] == record.experiment_id
        assert event["duration_s"] == record.duration_s


def test_heads_of_a_journal_of_an_earlier_version_are_made_of_its_records(tmp_path: Path) -> None:
    line = json.dumps({"event": "attempt-end", "t_utc": T, "record": golden_record()}).encode() + b"\n"
    compact = json.dumps(
        {"event": "attempt-end", "t_utc": T, "record": golden_record(9)}, separators=(",", ":")
    ).encode()
    write(tmp_path, line, compact + b"\n", GOOD)
    assert [event.get("success") for event in heads(tmp_path)] == [True, False, None]


@pytest.mark.parametrize("version", ["now", "earlier"])
def test_a_record_that_is_damaged_in_the_middle_is_no_success_on_a_resume(
    tmp_path: Path, version: str
) -> None:
    """Else its case would be skipped, though no table can hold it."""
    journal = Journal(tmp_path)
    for _ in range(3):
        journal.end(T, record_from_json(golden_record()))
    journal.close()
    first, second, third = (line for _, line in lines(tmp_path))
    if version == "earlier":
        first, second, third = (re.sub(rb'"record_crc32":\d+,', b"", one) for one in (first, second, third))
    assert len(list(heads(write(tmp_path, first, second, third)))) == 3
    middle = len(first) // 2
    lost_block = first[:middle] + bytes(64) + first[middle + 64 :]
    glued = first[:middle] + second
    for spoilt, left in ((lost_block, 0), (glued, 1)):
        write(tmp_path, spoilt, third, GOOD)
        assert [e["event"] for e in heads(tmp_path)] == ["damaged"] + ["attempt-end"] * (left + 1) + ["idle"]
        assert len(records(tmp_path)) == left + 1


def test_heads_see_a_single_changed_character_of_a_record(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.end(T, record_from_json(golden_record()))
    journal.close()
    ((_, line),) = lines(tmp_path)
    write(tmp_path, line.replace(b'"windows"', b'"windows', 1), line, GOOD)
    assert [event["event"] for event in heads(tmp_path)] == ["damaged", "attempt-end", "idle"]


def test_heads_do_not_parse_the_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    for _ in range(3):
        journal.end(T, record_from_json(golden_record()))
    journal.close()
    parsed: list[int] = []
    loads = json.loads

    def counted(text: bytes) -> Any:
        parsed.append(len(text))
        return loads(text)

    monkeypatch.setattr("energy_plugin.record.heads.json.loads", counted)
    assert len(list(heads(tmp_path))) == 3
    assert max(parsed[:2]) < 500 < parsed[2]  # the last line alone is parsed whole


def test_facts_are_those_of_the_last_resume(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("session-begin", T, session={"planned": 1})
    journal.append("session-resume", T, session={"planned": 2})
    journal.append("session-end", T)
    journal.close()
    assert session_facts(tmp_path) == {"planned": 2}
