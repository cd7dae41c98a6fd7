"""Who may ask: bearer keys from the environment or a file, compared in constant time.

Only digests are kept, so a key is in no dump of this object, and every key is compared whatever the first
ones gave, so that time tells nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from catagent.errors import ConfigError

__all__ = ["VARIABLE", "Keys"]

VARIABLE = "CATAGENT_SERVER_KEYS"
_SHORTEST = 16


class Keys:
    """The keys of a server; with none, nobody is asked for one."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        given = [key.strip() for key in keys if key.strip()]
        if short := [key for key in given if len(key) < _SHORTEST]:
            raise ConfigError(
                f"{len(short)} of the server's keys is shorter than {_SHORTEST} characters; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        if any(not key.isascii() or any(c.isspace() for c in key) for key in given):
            raise ConfigError("a key of the server has characters that no header can carry")
        self._digests = tuple(hashlib.sha256(key.encode()).digest() for key in given)

    @classmethod
    def read(cls, path: Path | None, environment: Mapping[str, str] = os.environ) -> Keys:
        """Keys from a file, one a line (`#` begins a comment), and from `CATAGENT_SERVER_KEYS`, with commas.

        Raises `ConfigError` for a file that cannot be read, holds no key, or that others may read.
        """
        found = environment.get(VARIABLE, "").split(",")
        if path is not None:
            try:
                mode = path.stat().st_mode
                lines = path.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"cannot read the keys in {path}: {error}") from None
            if mode & (stat.S_IROTH | stat.S_IWOTH):
                raise ConfigError(f"everybody on this machine can read the keys in {path}: chmod 600 {path}")
            own = [line.split("#", 1)[0] for line in lines]
            if not any(key.strip() for key in own):
                raise ConfigError(f"there is no key in {path}")
            found += own
        return cls(found)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __repr__(self) -> str:
        return f"<Keys: {len(self._digests)}>"

    def whose(self, headers: Iterable[tuple[bytes, bytes]]) -> int | None:
        """The number of the key in the headers, `None` when there is none that is known.

        Two `Authorization` headers are nobody's: intermediaries would not agree which one counts.
        """
        given = [value for name, value in headers if name.lower() == b"authorization"]
        scheme, _, token = (given[0] if len(given) == 1 else b"").partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        found = None
        for number, known in enumerate(self._digests):
            if hmac.compare_digest(digest, known):
                found = number
        return found if scheme.lower() == b"bearer" else None
