"""Lines from files of all sorts, standard input and memory."""

from __future__ import annotations

import gzip
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zstandard

from catagent.batch.reading import Files, Line, Rows, Source
from catagent.errors import ConfigError

TEXT = b"".join(b'{"prompt": "%d"}\n' % i for i in range(1000))


async def lines(source: Source) -> list[Line]:
    return [line async for piece in source for line in piece]


async def test_plain_packed_and_several_files(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + TEXT + b"\n  \n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(TEXT[:5000]) + gzip.compress(TEXT[5000:]))
    frames = zstandard.ZstdCompressor().compress
    (tmp_path / "c.zst").write_bytes(frames(TEXT[:5000]) + frames(TEXT[5000:]))
    (tmp_path / "d").write_bytes(TEXT.removesuffix(b"\n"))
    source = Files([tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "c.zst", "d")])
    found = await lines(source)
    assert len(found) == 4000
    assert not any(line.error for line in found)
    assert {line.raw for line in found[:1000]} == {line.raw for line in found[3000:]}
    assert (found[1999].file, found[1999].line) == (str(tmp_path / "b.jsonl.gz"), 1000)
    assert source.share == 1.0


async def test_a_broken_archive_is_one_bad_line_and_the_next_file_is_read(tmp_path: Path) -> None:
    packed = gzip.compress(bytes(range(256)) * 400)
    (tmp_path / "a.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "b.zst").write_bytes(zstandard.ZstdCompressor().compress(TEXT)[:-9] + b"123456789")
    (tmp_path / "c").write_bytes(TEXT)
    found = await lines(Files([tmp_path / name for name in ("a.gz", "b.zst", "c")]))
    errors = [line for line in found if line.error]
    assert "cannot be read on" in (errors[0].error or "")
    assert errors[0].file == str(tmp_path / "a.gz")
    assert sum(line.file == str(tmp_path / "c") for line in found) == 1000


async def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe:
        buffer = io.BufferedReader(io.BytesIO(gzip.compress(TEXT)))

    monkeypatch.setattr("sys.stdin", Pipe)
    source = Files(["-"])
    found = await lines(source)
    assert len(found) == 1000
    assert found[0].file == "standard input"
    assert source.share is None


def test_a_file_that_is_not_there_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere\.jsonl: No such file"):
        Files([tmp_path / "nowhere.jsonl"])
    with pytest.raises(ConfigError, match="Is a directory"):
        Files([tmp_path])


async def test_rows_in_memory_and_from_a_generator_that_waits() -> None:
    async def slowly() -> AsyncIterator[str]:
        for i in range(3):
            yield f"q{i}"

    assert [line.raw for line in await lines(Rows(slowly()))] == ["q0", "q1", "q2"]
    source = Rows(["a"] * 600)
    assert len(await lines(source)) == 600
    assert source.share == 1.0
    assert Rows(iter(["a"])).share is None
