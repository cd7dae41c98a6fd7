"""Prompt templates: one file each, with a header, shipped in `prompts/` and replaceable by the user.

A template starts with a header between two lines of `---` (YAML: `name`, `version`, `inputs`,
`optional`). In the body `{{name}}` stands for an input, and `{{#name}}…{{/name}}` is kept only when that
input is given. Inputs are put in once and never read again as a template, so a text from a model that
contains `{{…}}` stays text.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from catagent.errors import PromptError
from catagent.models.config import data_path

__all__ = ["Prompt", "Prompts"]

_HEADER = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.S)
_SECTION = re.compile(r"\{\{#(\w+)\}\}\n?(.*?)\{\{/\1\}\}\n?", re.S)
_INPUT = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One template. `version` changes with the wording, so results can say what they were made with."""

    name: str
    version: str
    inputs: frozenset[str]
    optional: frozenset[str]
    body: str

    def render(self, **inputs: str | None) -> str:
        """The text with the inputs in place. Raises `PromptError` for a missing or unknown input."""
        given = {name: value for name, value in inputs.items() if value is not None}
        if missing := self.inputs - given.keys():
            raise PromptError(f"the prompt {self.name!r} needs {', '.join(sorted(missing))}")
        if unknown := given.keys() - self.inputs - self.optional:
            raise PromptError(f"the prompt {self.name!r} has no input {', '.join(sorted(unknown))}")
        body = _SECTION.sub(lambda m: m[2] if m[1] in given else "", self.body)
        return _INPUT.sub(lambda m: given[m[1]], body).strip()


class Prompts:
    """The templates in a folder, with the packaged ones behind them."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folders = [data_path("prompts")]
        if folder is not None:
            own = Path(folder).expanduser()
            if not own.is_dir():
                raise PromptError(f"there is no prompt folder {own}")
            self._folders.insert(0, own)

    def __getitem__(self, name: str) -> Prompt:
        """The template of that name. Raises `PromptError` when there is none or it is malformed."""
        for folder in self._folders:
            path = folder / f"{name}.md"
            if path.is_file():
                return _load(path, path.stat().st_mtime_ns)
        raise PromptError(f"there is no prompt {name!r} in {self._folders[0]}")


@functools.lru_cache(maxsize=256)
def _load(path: Path, modified: int) -> Prompt:
    match = _HEADER.match(path.read_text(encoding="utf-8").replace("\r\n", "\n"))
    if match is None:
        raise PromptError(f"{path} must start with a header between two lines of ---")
    try:
        header = yaml.safe_load(match[1])
        prompt = Prompt(
            name=str(header["name"]),
            version=str(header["version"]),
            inputs=frozenset(header.get("inputs") or ()),
            optional=frozenset(header.get("optional") or ()),
            body=match[2],
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise PromptError(f"the header of {path} must give name, version and inputs") from None
    used = set(_INPUT.findall(prompt.body)) | {m[0] for m in _SECTION.findall(prompt.body)}
    if strange := used - prompt.inputs - prompt.optional:
        raise PromptError(f"{path} uses {', '.join(sorted(strange))}, which its header does not name")
    return prompt
