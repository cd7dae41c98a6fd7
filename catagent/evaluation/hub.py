"""Files of data sets from the Hugging Face hub, through its own client and so through its cache.

`HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` are heeded as everywhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from catagent.errors import ConfigError, FetchError

__all__ = ["PREFIX", "fetch_dataset_file", "parts_of"]

PREFIX = "hf:"
_DATA = (".jsonl", ".json", ".parquet", ".jsonl.gz")


def parts_of(spec: str) -> tuple[str, str | None, str | None]:
    """Repository, file and revision of `hf:owner/name[@revision][/path/to/file]`. Raises `ConfigError`."""
    rest = spec.removeprefix(PREFIX)
    owner, _, tail = rest.partition("/")
    name, _, file = tail.partition("/")
    name, _, revision = name.partition("@")
    if not owner or not name:
        raise ConfigError(f"{spec!r} names no data set: write hf:owner/name or hf:owner/name/file.jsonl")
    return f"{owner}/{name}", file or None, revision or None


def fetch_dataset_file(repo: str, file: str | None, revision: str | None = None) -> Path:
    """A file of a data set, fetched unless it is in the hub's cache. Blocks.

    Without `file` the repository's only data file is taken. Raises `ConfigError` where there is none or a
    choice, `FetchError` where it cannot be had.
    """
    hub = _client()
    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        if file is None:
            file = _only(repo, hub.HfApi(endpoint=endpoint).list_repo_files(repo, repo_type="dataset"))
        found = hub.hf_hub_download(repo, file, repo_type="dataset", revision=revision, endpoint=endpoint)
    except (hub.errors.GatedRepoError, hub.errors.RepositoryNotFoundError):
        raise FetchError(
            f"the data set {repo} is not on the hub, or you may not read it: "
            "see its page, log in with `hf auth login`, or pass a local file with --data"
        ) from None
    except hub.errors.EntryNotFoundError as error:
        raise FetchError(_unreached(repo, file, error)) from None
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError) as error:
        raise FetchError(_unreached(repo, file, error)) from None
    except Exception as error:
        if type(error).__module__.split(".")[0] in ("httpx", "httpcore", "requests", "urllib3"):
            raise FetchError(_unreached(repo, file, error)) from None
        raise
    return Path(found)


def _client() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise ConfigError(
            "data sets of the Hugging Face hub need its client: pip install 'catagent[eval]'; "
            "or pass a local file with --data"
        ) from None
    return huggingface_hub


def _only(repo: str, files: list[str]) -> str:
    data = sorted(f for f in files if f.endswith(_DATA))
    if len(data) == 1:
        return data[0]
    if not data:
        raise ConfigError(f"the data set {repo} has no JSONL, JSON or Parquet file")
    raise ConfigError(
        f"the data set {repo} has {len(data)} files; name one, as in hf:{repo}/{data[0]}: "
        f"{', '.join(data[:12])}{', …' if len(data) > 12 else ''}"
    )


def _unreached(repo: str, file: str | None, error: Exception) -> str:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return (
        f"{file or 'the list of files'} of the data set {repo} could not be fetched ({said}); "
        "pass a local file with --data, or set HF_ENDPOINT to a mirror"
    )
