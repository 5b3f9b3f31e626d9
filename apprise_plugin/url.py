"""The form of a `sms1680://` URL: written from its parts, and the sign of a password that is not percent-encoded."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

SCHEME = "sms1680"
URL = re.compile(r"\s*[^:/\s]+:[/\\]+(?P<authority>[^/?\\]*)(?P<path>[^?]*)")

UNENCODED = (
    (
        r"percent-encode the password in the URL: / is %2F, ? is %3F, \ is %5C, [ is %5B and ] is %5D. "
        r"The command `sms1680 apprise url` prints the right URL"
    ),
    (
        r"请对 URL 中的密码作百分号编码：`/` 写作 `%2F`，`?` 写作 `%3F`，`\` 写作 `%5C`，`[` 写作 `%5B`，"
        r"`]` 写作 `%5D`。命令 `sms1680 apprise url` 可输出正确的 URL"
    ),
)


def encode(part: str) -> str:
    """Return a part of a URL, percent-encoded."""
    return quote(part, safe="")


def join_url(user: str, password: str, product_id: str, targets: Iterable[str], query: Mapping[str, str]) -> str:
    """Return a URL. All parts but the query are encoded already, or masked. An empty password is left out."""
    secret = f":{password}" if password else ""
    return f"{SCHEME}://{user}{secret}@{product_id}/{'/'.join(targets)}/" + (f"?{urlencode(query)}" if query else "")


def has_unencoded_password(url: str) -> bool:
    """Return whether a sign of the password ends the part of the URL that has the password, or makes it unreadable."""
    found = URL.match(url)
    if not found:
        return False
    authority, rest = found["authority"], url[found.end("authority") :]
    if "@" in authority:
        return bool(re.search(r"[][]", authority.rpartition("@")[0]))
    return ":" in authority and "@" in rest
