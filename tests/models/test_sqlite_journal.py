"""The journal on disk: what is put can be got at once, and is there after the process is not."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from catagent.errors import JournalError
from catagent.models.journal import sample_keys
from catagent.models.sqlite_journal import SqliteJournal

KEYS = sample_keys("sampler", "m", [{"role": "user", "content": "q"}], {}, range(100))
LONG = b'{"text": "' + b"x" * 100_000 + b'"}'


async def test_samples_are_there_before_and_after_they_are_committed(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.sqlite")
    assert journal.get(KEYS[0]) is None
    journal.put(KEYS[0], b'{"text": "a"}')
    journal.put(KEYS[1], LONG)
    assert journal.get(KEYS[0]) == b'{"text": "a"}'
    await journal.flushed()
    assert (journal.get(KEYS[0]), journal.get(KEYS[1])) == (b'{"text": "a"}', LONG)
    journal.put(KEYS[0], b'{"text": "b"}')
    journal.close()
    again = SqliteJournal(tmp_path / "j.sqlite")
    assert (again.get(KEYS[0]), again.get(KEYS[1])) == (b'{"text": "b"}', LONG)
    stages = again.reader.execute("SELECT DISTINCT stage FROM samples").fetchall()
    assert stages == [("sampler",)]
    assert again.reader.execute("SELECT max(length(value)) FROM samples").fetchone()[0] < 1000
    again.close()


async def test_what_is_flushed_survives_a_kill(tmp_path: Path) -> None:
    code = f"""
import asyncio, os, signal
from pathlib import Path
from catagent.models.sqlite_journal import SqliteJournal

async def main():
    journal = SqliteJournal(Path({str(tmp_path / "j.sqlite")!r}))
    for key in {KEYS!r}:
        journal.put(key, b'{{}}')
    await journal.flushed()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    journal = SqliteJournal(tmp_path / "j.sqlite")
    assert all(journal.get(key) == b"{}" for key in KEYS)
    journal.close()


async def test_one_step_of_the_loop_is_one_commit_and_no_commit_is_on_the_loop(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []

    def committed(db: sqlite3.Connection) -> None:
        count = db.execute("SELECT count(*) FROM samples").fetchone()[0]
        seen.append((count, threading.current_thread().name))

    journal = SqliteJournal(tmp_path / "j.sqlite", after_commit=committed)
    for step in range(10):
        for key in KEYS[step * 10 : step * 10 + 10]:
            journal.put(key, b"{}")
        await asyncio.sleep(0)
    await journal.flushed()
    assert all(count % 10 == 0 and thread == "catagent-journal" for count, thread in seen)
    assert seen[-1][0] == 100
    journal.close()


async def test_a_failed_write_is_told_to_everyone_and_what_was_there_stays(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "j.sqlite")
    journal.put(KEYS[0], b"{}")
    await journal.flushed()
    journal.put(KEYS[1], b"{}")
    journal.submit("INSERT INTO nowhere VALUES (1)")
    with pytest.raises(JournalError, match="no such table: nowhere"):
        await journal.flushed()
    with pytest.raises(JournalError):
        journal.put(KEYS[2], b"{}")
    with pytest.raises(JournalError):
        await journal.flushed()
    with pytest.raises(JournalError):
        journal.close()
    again = SqliteJournal(tmp_path / "j.sqlite")
    assert again.get(KEYS[0]) == b"{}"
    assert again.get(KEYS[1]) is None
    again.close()


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="unable to open database file"):
        SqliteJournal(tmp_path / "no" / "j.sqlite")
