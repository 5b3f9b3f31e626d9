"""The characters of an outgoing text: octets become text, and control characters are removed. Nothing is refused."""

import re

_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")
_UNDECODED = re.compile("[\udc80-\udcff]")
_REPLACEMENT = "\ufffd"
# Octets outside ASCII; characters of UTF-8 outside ASCII; characters of GB2312, the common part of GB18030.
_HIGH = re.compile(rb"[\x80-\xff]")
_UTF_8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_GB2312 = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")

_TERMINAL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[A-Za-z~]"  # a colour or a movement of the cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # the title of a window, or a link
    r"|\x1b[()][0-9A-Z]"  # a character set
)
_BREAK = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_JOINED_BEFORE = "\u0600-\u0dff\u20e3\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"
_JOINED_AFTER = "\u0600-\u0dff\u2190-\u2bff\U0001f000-\U0001faff"
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ufffe\uffff]"
    # Joiners remain inside emoji, and in the scripts that need them.
    f"|(?<![{_JOINED_BEFORE}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINED_AFTER}])"
)
_PRINTABLE_HIDDEN = "\u034f"
# Characters outside Unicode's first plane (such as emoji), of private use, or replaced.
_RARE = re.compile("[\U00010000-\U0010ffff\ue000-\uf8ff\ufffd\ufe0f]")
# ASCII that the GSM alphabet lacks (3GPP TS 23.038, section 6.2.1), which carriers use for texts in English.
_NOT_GSM = re.compile("[`\t]")


def decode(octets: bytes) -> str:
    """Return octets as text: UTF-8, or GB18030 if most of them are Chinese in it. Any other octet becomes `�`."""
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        half = len(_HIGH.findall(octets)) / 2
    of_utf_8, of_gb2312 = (sum(map(len, some.findall(octets))) for some in (_UTF_8, _GB2312))
    is_chinese = of_utf_8 <= half <= of_gb2312
    return octets.decode("gb18030" if is_chinese else "utf-8", "replace")


def repair(text: str) -> str:
    """Return the text without incomplete characters, which no encoding can carry.

    Octets that Python could not decode (`surrogateescape`) are read as `decode` does. Each remaining half of a
    character becomes `�`.
    """
    if not _HALF.search(text):
        return text
    text = _PAIR.sub(lambda pair: pair.group().encode("utf-16", "surrogatepass").decode("utf-16"), text)
    if _UNDECODED.search(text):
        escaped = re.sub("[\ud800-\udc7f\udd00-\udfff]", _REPLACEMENT, text)
        text = decode(escaped.encode("utf-8", "surrogateescape"))
    return _HALF.sub(_REPLACEMENT, text)


def clean(text: str) -> str:
    """Return the text as it is sent: complete, without terminal codes and without invisible characters.

    Every line break becomes a line feed. Joiners inside emoji remain.
    """
    if text.isprintable() and _PRINTABLE_HIDDEN not in text:
        return text  # the usual text, in one look: every pattern needs a character that is not printable
    return _HIDDEN.sub("", _BREAK.sub("\n", _TERMINAL.sub("", repair(text))))


def hidden_characters(text: str) -> str:
    """Return the code points of the distinct characters that `clean` removes, such as `U+200B U+FEFF`."""
    text = repair(text)
    found = {"\x1b"} if _TERMINAL.search(text) else set()
    found |= set(_HIDDEN.findall(_TERMINAL.sub("", text)))
    return " ".join(f"U+{ord(character):04X}" for character in sorted(found))


def unshown_characters(text: str) -> str:
    """Return the distinct characters that some phones do not show."""
    found = _RARE.findall(text) or (_NOT_GSM.findall(text) if text.isascii() else [])
    return "".join(dict.fromkeys(found)).replace("\t", "U+0009").replace("\ufe0f", "")
