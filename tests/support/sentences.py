"""Find words of the other language in a sentence.

A Chinese sentence has no Latin words except names; an English one has no Chinese characters except in quotation marks.
What the reader types or finds in the same letters is code: in backticks, in braces, or a key listed here.
"""

import re
from typing import Literal

NAMES = {
    *("SMS", "CMPP", "HTTP", "TLS", "URL", "IP", "MD5", "ASCII", "ID", "PIN", "YAML", "Webhook", "App", "SP", "SOCKS"),
    *("Home", "Assistant", "Cloud", "Apprise", "Assist", "KiB", "MiB", "CIDR", "Valkey", "Redis", "redis", "rediss"),
    *("CONNECT", "socks5", "socksio"),
}
# Keys and values that the reader types in the same letters.
KEYS = {
    *("config_entry_id", "data", "at", "extension", "priority", "normal", "critical", "yes", "no", "acknowledged"),
    *("notify.send_message", "sms1680.send_message", "sms1680.get_messages", "get_messages", "T", "TD", "N", "R"),
    *("SP_Id", "Service_Id", "http", "https", "Asia", "Shanghai", "A", "B", "C", "D", "E", "PHONE"),
}
CODE = re.compile(r"`[^`]*`|\{[^}]*\}|https?://\S+|\b[A-Z]{2,}(?::[…\d]+)?(?=[）)])|XX:\d+")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
QUOTED = re.compile(r"[“\"【（(][^”\"】）)]*[”\"】）)]")


def foreign_words(sentence: str, language: Literal["en", "zh"]) -> list[str]:
    """Return the words of a sentence that belong to the other language."""
    prose = CODE.sub("", sentence)
    if language == "en":
        return CHINESE.findall(QUOTED.sub("", prose))
    return [word for word in WORD.findall(prose) if word.rstrip(".") not in NAMES | KEYS]
