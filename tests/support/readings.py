"""Read a log as everybody can who knows the usual encodings: percent, HTML and Base64."""

from __future__ import annotations

import binascii
import functools
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote_plus

# Text of four octets or more in Base64, in its usual and its URL-safe alphabet.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}")
_URL_SAFE = str.maketrans("-_", "+/")
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\ufffd]+")


def readings(log: str) -> Iterator[str]:
    """Yield a log as it is, and with each encoding that it contains decoded."""
    yield log
    if "%" in log or "+" in log:
        yield unquote_plus(log)
    if "&" in log:
        yield html.unescape(log)


def base64_reading(log: str) -> str:
    """Return all that may be Base64 in a log, decoded, one piece a line."""
    return "\n".join(filter(None, map(_decoded, set(_BASE64.findall(log)))))


@functools.lru_cache(maxsize=1 << 16)
def _decoded(run: str) -> str:
    """Return the text in a run of Base64 characters, from each of the four places at which it can begin."""
    run = run.translate(_URL_SAFE)
    pieces = []
    for start in range(4):
        end = start + (len(run) - start) // 4 * 4
        octets = binascii.a2b_base64(run[start:end] or b"")
        tail = run[end:]
        if len(tail) > 1:  # what the padding would complete
            octets += binascii.a2b_base64(tail + "=" * (4 - len(tail)))
        pieces.append(_NO_TEXT.sub("\n", octets.decode("utf-8", "replace")))
    return "\n".join(piece for piece in pieces if len(piece.strip()) > 1)
