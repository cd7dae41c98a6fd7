"""Templates: headers, inputs, and texts that look like templates."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.agents.prompts import Prompts
from catagent.errors import PromptError
from catagent.models.config import data_path

NAMES = sorted(p.stem for p in data_path("prompts").glob("*.md"))


def write(folder: Path, header: str, body: str = "Say {{word}}.") -> Prompts:
    (folder / "own.md").write_text(f"---\n{header}\n---\n{body}\n")
    return Prompts(folder)


@pytest.mark.parametrize("name", NAMES)
def test_packaged_prompts_are_whole(name: str) -> None:
    prompt = Prompts()[name]
    assert prompt.name == name
    assert prompt.version
    rendered = prompt.render(**dict.fromkeys(prompt.inputs, "X"))
    assert rendered
    assert "{{" not in rendered


def test_inputs_are_checked() -> None:
    prompt = Prompts()["synthesis_reasoning"]
    with pytest.raises(PromptError, match="needs count"):
        prompt.render(responses="r")
    with pytest.raises(PromptError, match="has no input answer"):
        prompt.render(responses="r", count="1", answer="42")


@given(st.text(max_size=60))
def test_an_input_is_never_read_as_a_template(text: str) -> None:
    rendered = Prompts()["synthesis_freeform"].render(responses=f"{{{{count}}}}{text}", count="3")
    assert f"{{{{count}}}}{text}" in rendered


def test_own_folder_comes_first_and_the_packaged_one_stays_behind_it(tmp_path: Path) -> None:
    prompts = write(
        tmp_path,
        "name: own\nversion: 2\ninputs: [word]\noptional: [more]",
        "A {{word}}{{#more}} B{{more}}{{/more}}",
    )
    assert prompts["own"].render(word="x") == "A x"
    assert prompts["own"].render(word="x", more="y") == "A x By"
    assert prompts["synthesis_reasoning"].version


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("name: own", "must give name, version and inputs"),
        ("- a list", "must give name, version and inputs"),
        ("name: own\nversion: 1\ninputs: []", "uses word, which its header does not name"),
    ],
)
def test_malformed_templates_are_refused_in_one_sentence(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        write(tmp_path, header)["own"]


def test_missing_templates_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="no prompt 'nothing'"):
        Prompts()["nothing"]
    with pytest.raises(PromptError, match="no prompt folder"):
        Prompts(tmp_path / "nowhere")
    (tmp_path / "bare.md").write_text("no header")
    with pytest.raises(PromptError, match="must start with a header"):
        Prompts(tmp_path)["bare"]
