"""Mask numbers, secrets and foreign texts before they are shown."""

import base64
import html
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

MASK = "****"
SHOWN_ANSWER = 200

_MOBILE = re.compile(r"(?<!\d)(\d{0,4}1[3-9]\d)\d{4}(\d{4})(?!\d)")
# With the country code, in any notation of address books.
_NUMBER = re.compile(r"[\d+() .-]*")
_LONGEST_NUMBER = 24
_WORD = re.compile(r"[\w:.+-]*", re.ASCII)
_LONG_DIGITS = re.compile(r"\d{7,}")
_HEX_SECRET = re.compile(r"(?i)(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


def mask_number(number: str) -> str:
    """Return a phone number masked for display: `138****0000`.

    Eleven digits show the first three and the last four. A shorter number (a short code, a foreign number) shows at
    most the first two and the last two, and four characters or fewer show nothing. Neither does what is no number.
    """
    if not 4 < len(number) <= _LONGEST_NUMBER or not _NUMBER.fullmatch(number):
        return MASK
    if len(number) < 9:
        return f"{number[:2]}{MASK}"
    if len(number) < 11:
        return f"{number[:2]}{MASK}{number[-2:]}"
    return f"{number[:-8]}{MASK}{number[-4:]}" if len(number) <= 15 else f"{number[:3]}{MASK}{number[-4:]}"


def echoes(value: str) -> Iterator[str]:
    """Yield the forms in which a peer can echo a value: plain, percent-encoded, escaped for HTML, Base64 and hex."""
    octets = value.encode("utf-8", "surrogatepass")
    yield value
    yield quote(octets, safe="")
    yield quote_plus(octets)
    yield html.escape(value)
    yield octets.hex()
    for encoded in (base64.b64encode(octets), base64.urlsafe_b64encode(octets)):
        yield encoded.decode().rstrip("=")


def mask_word(value: str) -> str:
    """Return an id, a status or an extension without numbers. Anything that is no word is masked whole."""
    return _MOBILE.sub(rf"\1{MASK}\2", value) if _WORD.fullmatch(value) else MASK


def mask_mobiles(text: str) -> str:
    """Return a text of ours with the mobile numbers in it masked. Ids stay."""
    return _MOBILE.sub(rf"\1{MASK}\2", text)


def mask_text(text: str) -> str:
    """Return the first 200 characters of a foreign text without numbers and digests."""
    text = mask_mobiles(_HEX_SECRET.sub(MASK, text))
    text = _LONG_DIGITS.sub(lambda found: mask_number(found.group()), text)
    shown = text[:SHOWN_ANSWER]
    return "".join(character if character.isprintable() else "·" for character in shown)
