"""Uplinks as senders and gateways really deliver them, with the text that a person wrote.

Each case stands for a kind of public report about a comparable system, in our own words.
"""

from __future__ import annotations

from typing import NamedTuple

ASCII, SIM, BINARY, UCS2, GB, FLASH_UCS2 = 0, 3, 4, 8, 15, 0x18


class Case(NamedTuple):
    """msg_fmt and octets as they arrive in a DELIVER; push: the same octets can also arrive in a push."""

    name: str
    msg_fmt: int
    octets: bytes
    text: str
    stands_for: str
    push: bool = True


def utf16(text: str) -> bytes:
    return text.encode("utf-16-be")


TEXTS = [
    Case("ucs2", UCS2, utf16("好的"), "好的", "an honest label", push=False),
    Case("gb", GB, "好的".encode("gb18030"), "好的", "an honest label"),
    Case("mark-ucs2", UCS2, b"\xfe\xff" + utf16("1"), "1", "a byte order mark inside the text"),
    Case("mark-before-ascii", UCS2, b"\xfe\xff1", "1", "a byte order mark before octets in another encoding"),
    Case("mark-utf-8", ASCII, b"\xef\xbb\xbf1", "1", "the signature of UTF-8 that Windows programs write"),
    Case("mark-utf-8-gb", GB, b"\xef\xbb\xbf" + "好的".encode(), "好的", "the same in Chinese"),
    Case("mark-little-endian", UCS2, b"\xff\xfe" + "好的".encode("utf-16-le"), "好的", "UTF-16 of a Windows gateway"),
    Case("ascii-as-ucs2-1", UCS2, b"1", "1", "ASCII under Msg_Fmt 8, read as nothing"),
    Case("ascii-as-ucs2-2", UCS2, b"12", "12", "ASCII under Msg_Fmt 8, read as Korean"),
    Case("ascii-as-ucs2-ok", UCS2, b"OK", "OK", "ASCII under Msg_Fmt 8, read as a rare character"),
    Case("ascii-as-ucs2-code", UCS2, b"open 1234", "open 1234", "ASCII under Msg_Fmt 8 with an odd length"),
    Case("ascii-as-flash", FLASH_UCS2, b"1", "1", "ASCII under the flash label"),
    Case("utf-8-as-ucs2", UCS2, "好的".encode(), "好的", "UTF-8 under Msg_Fmt 8"),
    Case("utf-8-as-gb", GB, "好的".encode(), "好的", "UTF-8 under Msg_Fmt 15, read as 濂界殑"),
    Case("utf-8-as-ascii", ASCII, "好的".encode(), "好的", "UTF-8 under Msg_Fmt 0"),
    Case("gb-as-ucs2", UCS2, "好的".encode("gb18030"), "好的", "GBK under Msg_Fmt 8"),
    Case("gb-as-ascii", ASCII, "退订".encode("gb18030"), "退订", "GBK under Msg_Fmt 0"),
    Case("gb-as-binary", BINARY, "好的".encode("gb18030"), "好的", "text under the binary label"),
    Case("ucs2-as-ascii", ASCII, utf16("好的"), "好的", "UCS2 under Msg_Fmt 0", push=False),
    Case("ucs2-as-ascii-digit", ASCII, utf16("1"), "1", "UCS2 under Msg_Fmt 0: NUL and a digit"),
    Case("ucs2-as-ascii-signs", ASCII, utf16("好"), "好", "UCS2 under Msg_Fmt 0 that looks like ASCII: Y}", push=False),
    Case("ucs2-as-gb", GB, utf16("关闭"), "关闭", "UCS2 under Msg_Fmt 15"),
    Case("ucs2-as-binary", BINARY, utf16("开门"), "开门", "UCS2 under the binary label", push=False),
    Case("little-endian", UCS2, "收到了".encode("utf-16-le"), "收到了", "UCS2 with swapped octets", push=False),
    Case("padding-ascii", ASCII, b"1" + bytes(7), "1", "NUL padding inside Msg_Length"),
    Case("padding-ucs2", UCS2, utf16("1") + bytes(6), "1", "NUL padding inside Msg_Length in UCS2"),
    Case("padding-odd", UCS2, utf16("退订") + b"\0", "退订", "one NUL too much", push=False),
    Case("padding-ascii-as-ucs2", UCS2, b"1\0\0\0", "1", "padding and a wrong label"),
    Case("zero-width", UCS2, utf16("\u200b1\u200b"), "1", "a zero-width space of a keyboard", push=False),
    Case("direction", UCS2, utf16("\u202a1\u202c"), "1", "direction signs of a copied text", push=False),
    Case("control", ASCII, b"\x0f1", "1", "a shift sign of the message center"),
    Case("emoji", UCS2, utf16("1\ufe0f\u20e3👍"), "1\ufe0f\u20e3👍", "emoji", push=False),
    Case("rare", UCS2, utf16("镕喆𠮷"), "镕喆𠮷", "rare characters of names under an honest label", push=False),
    Case("rare-gb", GB, "镕喆𠮷".encode("gb18030"), "镕喆𠮷", "the same in GB 18030"),
    Case("hex", BINARY, b"\x01\x80", "0180", "what is no text", push=False),
]  # fmt: skip

SPELLINGS_OF_1 = ["1", "１", "1。", "1．", " 1 ", "1️⃣", "①", "\u200b1", "1！", "【某某科技】1", "1【某某科技】", "1\r\n"]
"""What people write who were asked to reply 1."""
