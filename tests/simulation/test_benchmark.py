"""The command that prints the tables and draws the plots, on few questions."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from benchmarks import simulation


def test_tables_and_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["simulation", "--questions", "12", "--plots", str(tmp_path / "plots")])
    monkeypatch.setattr(simulation, "LIMITS", (4, 8))
    simulation.main()
    printed = capsys.readouterr().out
    assert printed.count("\n## ") + printed.startswith("## ") == 6
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows if line.startswith("| 64")}) == 1
    assert sorted(p.name for p in (tmp_path / "plots").glob("*.svg")) == [
        "adaptive.svg",
        "break_even.svg",
        "correlation.svg",
        "curves.svg",
    ]
    for picture in (tmp_path / "plots").iterdir():
        assert picture.stat().st_size > 5000


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"pip install 'catagent\[eval\]'"):
        simulation.plots(tmp_path, {}, {}, [], {})
