"""The journal: chained lines, of which none can change unseen."""

import json

import pytest

from loraspec.engine.journal import Journal, read


@pytest.fixture
def journal(tmp_path):
    """Return a journal of three lines."""
    made = Journal(tmp_path)
    for number in range(3):
        made.write("checkpoint", step=number, d=0.1 + 0.2)
    return made


def test_lines_are_read_as_they_were_written(journal, tmp_path):
    """Exact floats, in order; a second writer goes on from the first one's last line."""
    Journal(tmp_path).write("done", text="\udcff é")
    journal.write("done")

    lines = read(journal.path).lines
    assert [line["kind"] for line in lines] == ["checkpoint", "checkpoint", "checkpoint", "done", "done"]
    assert lines[0]["d"] == 0.1 + 0.2
    assert lines[3]["text"] == "? é"


def test_half_last_line_is_cut_off(journal):
    """What a killed process left of a line is dropped; the next line stands on its own."""
    data = journal.path.read_bytes()
    journal.path.write_bytes(data[:-7])

    found = journal.mend()
    assert found.half
    assert len(found.lines) == 2
    journal.write("done")
    assert [line["kind"] for line in read(journal.path).lines] == ["checkpoint", "checkpoint", "done"]


def test_every_flipped_bit_is_seen(journal):
    """In whichever byte: the line and those behind it are not believed."""
    data = journal.path.read_bytes()
    for at in range(len(data)):
        journal.path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        found = read(journal.path)
        assert found.damaged or found.half, at
        assert len(found.lines) == data[:at].count(b"\n")


def test_line_that_is_taken_out_is_missed(journal):
    """The chain breaks behind the gap."""
    first, _, third = journal.path.read_bytes().splitlines(keepends=True)
    journal.path.write_bytes(first + third)

    assert read(journal.path).damaged == "line 2 is not what was written"


def test_hostile_lines_are_damage(tmp_path):
    """Deep nesting, no table, no JSON."""
    for text in ("[" * 100_000 + "\n", "7\n", "{}\n", "\n", json.dumps({"kind": "epoch", "seal": "0"}) + "\n"):
        (tmp_path / "journal.jsonl").write_text(text)
        assert read(tmp_path / "journal.jsonl").damaged
