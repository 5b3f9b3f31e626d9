"""Convert HTML to plain text with marks around removed and added parts: `[old→]`, `[→new]`, `[old→new]`.

Apprise's own conversion drops the markup, so that a price that changed from 100 to 99 would read "10099".
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from html import escape
from html.parser import HTMLParser

from apprise import NotifyFormat
from apprise.conversion import convert_between


class _Kind(Enum):
    REMOVED = "removed"
    ADDED = "added"


_KIND_OF_TAG = {"del": _Kind.REMOVED, "s": _Kind.REMOVED, "strike": _Kind.REMOVED, "ins": _Kind.ADDED}
_KIND_OF_ROLE = {"deletion": _Kind.REMOVED, "insertion": _Kind.ADDED}
# The values of `title` and `aria-label` in changedetection.io.
_KIND_OF_LABEL = {
    "removed text": _Kind.REMOVED,
    "changed text": _Kind.REMOVED,
    "added text": _Kind.ADDED,
    "changed into": _Kind.ADDED,
}
# The backgrounds of changedetection.io and of GitHub. Older versions of changedetection.io set no label.
_KIND_OF_COLOR = {
    **dict.fromkeys(("#fadad7", "#ff867a", "#ffeef0", "#ffebe9", "#fdb8c0"), _Kind.REMOVED),
    **dict.fromkeys(("#eaf2c2", "#b2e841", "#e6ffed", "#dafbe1", "#acf2bd"), _Kind.ADDED),
}
_START_OF = {_Kind.REMOVED: "[", _Kind.ADDED: "[→", None: ""}
_END_OF = {_Kind.REMOVED: "→]", _Kind.ADDED: "]", None: ""}
_COLOR = re.compile(r"(?<![a-z-])(?:background(?:-color)?|color)\s*:\s*([^;]+)", re.IGNORECASE)
_AROUND_BREAK = re.compile(r"[ \t]*\n[ \t]*")
_FUSED = re.compile(r"[0-9A-Za-z]{2}")
_STRUCK = re.compile(r"text-decoration[a-z-]*\s*:[^;]*line-through", re.IGNORECASE)
_WITHOUT_END = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_INLINE = {"a", "abbr", "b", "big", "cite", "em", "font", "i", "kbd", "mark", "small", "span", "strong"}
_INLINE |= {"sub", "sup", "u", "wbr", *_KIND_OF_TAG}


def html_to_text(html: str) -> str:
    """Return the plain text of HTML, with marks around its removed and added parts."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    text: str = convert_between(NotifyFormat.HTML, NotifyFormat.TEXT, "".join(_mark(reader.pieces)))
    return _AROUND_BREAK.sub("\n", text)


@dataclass(slots=True)
class _Piece:
    """A tag, white space or a text, as HTML. kind, colors: those of a text. breaks: a tag starts a new line."""

    html: str
    is_text: bool = False
    kind: _Kind | None = None
    colors: tuple[str, ...] = ()
    breaks: bool = False


class _Reader(HTMLParser):
    """Takes HTML apart. `pieces` put together are the same HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[_Piece] = []
        self._elements: list[tuple[str, _Kind | None, tuple[str, ...]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _WITHOUT_END:
            outer_kind, outer_colors = self._state()
            kind, colors = _read_element(tag, {name: value or "" for name, value in attrs})
            self._elements.append((tag, kind or outer_kind, colors or outer_colors))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - HTMLParser's
        self.pieces.append(_Piece(self.get_starttag_text() or "", breaks=tag not in _INLINE))

    def handle_endtag(self, tag: str) -> None:
        self.pieces.append(_Piece(f"</{tag}>", breaks=tag not in _INLINE))
        if places := [place for place, element in enumerate(self._elements) if element[0] == tag]:
            del self._elements[places[-1] :]

    def handle_data(self, data: str) -> None:
        kind, colors = self._state()
        text = data.strip()
        before, _text, after = data.partition(text) if text else (data, "", "")
        texts = [_Piece(escape(text, quote=False), is_text=True, kind=kind, colors=colors)] if text else []
        self.pieces += [_Piece(before), *texts, _Piece(after)]

    def _state(self) -> tuple[_Kind | None, tuple[str, ...]]:
        return self._elements[-1][1:] if self._elements else (None, ())


def _read_element(tag: str, attributes: dict[str, str]) -> tuple[_Kind | None, tuple[str, ...]]:
    """Return the kind of an element's text, if it has one, and its colors."""
    style = attributes.get("style", "")
    colors = tuple(color.strip().lower() for color in _COLOR.findall(style))
    labels = (attributes.get(name, "").lower() for name in ("title", "aria-label"))
    kinds = (
        _KIND_OF_TAG.get(tag),
        _KIND_OF_ROLE.get(attributes.get("role", "").lower()),
        *(_KIND_OF_LABEL.get(label) for label in labels),
        *map(_KIND_OF_COLOR.get, colors),
        _Kind.REMOVED if _STRUCK.search(style) else None,
    )
    return next((kind for kind in kinds if kind), None), colors


def _mark(pieces: Sequence[_Piece]) -> Iterator[str]:
    """Yield the HTML with the marks.

    A mark encloses only text: it begins before the first text of its kind and ends after the last one, wherever the
    tags stand. A removed and an added text on one line become one mark. A change of the color between two letters or
    digits becomes a space.
    """
    last = _Piece("")
    between: list[_Piece] = []
    for piece in (*pieces, _Piece("", is_text=True)):
        if not piece.is_text:
            between.append(piece)
            continue
        htmls = [each.html for each in between]
        one_line = not any(each.breaks for each in between)
        if last.kind is _Kind.REMOVED and piece.kind is _Kind.ADDED and one_line:
            yield from ("→", *(html for html in htmls if html.strip()))
        elif last.kind is not piece.kind:
            yield from (_END_OF[last.kind], *htmls, _START_OF[piece.kind])
        else:
            yield from htmls
            touch = _FUSED.fullmatch(
                last.html[-1:] + "".join(html for html in htmls if not html.startswith("<")) + piece.html[:1]
            )
            yield " " if touch and one_line and last.colors != piece.colors else ""
        yield piece.html
        last, between = piece, []
