"""The text of a notification: HTML becomes plain text, and a long text is split into several messages."""

import io
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from apprise import NotifyBase, NotifyFormat

from .core import Signature, clean, split_text
from .html_text import html_to_text


class _OtherFormat(str):
    """A format to which Apprise 1 has no conversion, so that it leaves every text as it is."""

    __slots__ = ()
    value = "text"


UNCONVERTED: Any = NotifyFormat.TEXT if hasattr(NotifyBase, "resolve_format") else _OtherFormat("as it is")
"""The format of the plugin. Apprise 2 asks `resolve_format` instead."""


def without_html(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a notification. If its text is declared as HTML, it becomes plain text."""
    if call.get("body_format") != NotifyFormat.HTML:
        return {**call}
    title, body = (html_to_text(call.get(name) or "") for name in ("title", "body"))
    return {**call, "title": title, "body": body, "body_format": NotifyFormat.TEXT}


def plain_text(call: Mapping[str, Any], *, from_html: bool) -> str:
    """Return the text of a call of `send`, title and body, as it can be sent.

    from_html: with `?format=html`, a body without a declared format is HTML.
    """
    text = "\n".join(part for part in (call.get("title"), call.get("body")) if part)
    if from_html and (call.get("body_passthrough") or call.get("body_format") is None):
        text = html_to_text(text)
    return clean(text)


def split_call(
    call: Mapping[str, Any], room: int, signature: Signature | None, *, from_html: bool
) -> Iterator[dict[str, Any]]:
    """Yield the call of `send` for each message of a text that is split.

    Apprise itself counts characters, but a message has room for UTF-16 units: an emoji needs two.
    """
    texts = split_text(plain_text(call, from_html=from_html), room, signature)
    plain = {**call, "title": "", "body_format": NotifyFormat.TEXT, "body_passthrough": False}
    for index, text in enumerate(texts):
        yield {**plain, "body": text, "index": index, "total": len(texts)}


class _BrokenInput(io.TextIOWrapper):
    """Standard input with surrogates for broken octets. Click reads any stream that is not strict again, strictly."""

    errors = "strict"


def accept_broken_input() -> None:
    """Let the `apprise` command read a text with broken octets; otherwise it ends before any service is asked."""
    stdin = sys.stdin
    if "apprise.cli" in sys.modules and isinstance(stdin, io.TextIOWrapper) and not isinstance(stdin, _BrokenInput):
        sys.stdin = _BrokenInput(stdin.buffer, encoding=stdin.encoding, errors="surrogateescape")
