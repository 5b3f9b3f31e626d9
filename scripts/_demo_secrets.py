"""Searches the logs of `scripts/demo` for what must not be in them: passwords, whole numbers, texts of messages."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus


def digests(password: str) -> list[str]:
    """Returns a password and its MD5, as it goes over the wire."""
    return [password, hashlib.md5(password.encode()).hexdigest()]  # noqa: S324 - the platform's own form


def spellings(secret: str) -> Iterator[str]:
    """Yields how a secret may be written in a log: as it is, in an address, in a form, in JSON, in bytes' repr."""
    yield secret
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield repr(secret.encode("utf-8"))[2:-1]


def found(logs: Iterable[Path], secrets: Mapping[str, str]) -> list[str]:
    """Returns where a secret stands, by its name and not by itself: `a password in home-assistant.log, line 7`."""
    wanted = {spelling.lower(): name for name, secret in secrets.items() for spelling in spellings(secret)}
    return [
        f"{name} in {log.name}, line {number}"
        for log in logs
        for number, line in enumerate(log.read_text("utf-8", "replace").lower().splitlines(), 1)
        for name in sorted({name for spelling, name in wanted.items() if spelling in line})
    ]
