"""Read the examples and tables of the documentation pages.

An example follows `<!-- test: KIND NAME -->`. A table is between `<!-- table: NAME -->` and `<!-- end of table -->`.
Each page exists in English and in Chinese, with the same examples.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from support import ROOT

LANGUAGES = {"en": "", "zh": ".zh-Hans"}
HOME_ASSISTANT_PAGES = tuple(
    f"docs/home-assistant/{name}"
    for name in ("README", "setup", "sending", "receiving", "alarms", "duty", "conversations", "assist", "reference")
)
PAGES = (
    "README",
    *HOME_ASSISTANT_PAGES,
    *("docs/apprise", "docs/python", "docs/reference", "docs/china", "docs/troubleshooting", "docs/security"),
    *("docs/robustness", "docs/development", "docs/outcomes-matrix", "docs/shared-state", "docs/upstream"),
    "docs/fixed-address",
)

_EXAMPLE = re.compile(
    r"(?:^<!-- test: (?P<kind>[\w-]+)(?: (?P<name>[\w-]+))? -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_TABLE = re.compile(
    r"(?P<begin>^<!-- table: (?P<name>[\w-]+) -->\n)(?P<text>.*?)(?P<end>^<!-- end of table -->$)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Example:
    """A code block. `kind` says how it is tested (empty: not marked), and `name` identifies it."""

    page: str
    kind: str
    name: str
    language: str
    text: str


def path_of(page: str, language: str) -> Path:
    """Return the file of a page in a language (a key of LANGUAGES)."""
    return ROOT / f"{page}{LANGUAGES[language]}.md"


def examples(page: str, language: str = "en") -> list[Example]:
    """Return the code blocks of a page, in order."""
    text = path_of(page, language).read_text("utf-8")
    return [
        Example(page, found["kind"] or "", found["name"] or "", found["language"], found["text"])
        for found in _EXAMPLE.finditer(text)
    ]


def all_examples(*kinds: str) -> list[Example]:
    """Return the code blocks of these kinds (all, if none is named) of all pages."""
    return [example for page in PAGES for example in examples(page) if not kinds or example.kind in kinds]


def tables(page: str, language: str) -> dict[str, str]:
    """Return the marked tables of a page by name."""
    return {found["name"]: found["text"] for found in _TABLE.finditer(path_of(page, language).read_text("utf-8"))}


def page_with_table(name: str) -> str:
    """Return the page that has the table of this name."""
    (page,) = [page for page in PAGES if name in tables(page, "en")]
    return page


def table_of(name: str, language: str) -> str:
    """Return the table of this name, on whichever page it is."""
    return tables(page_with_table(name), language)[name]


def write_table(page: str, language: str, name: str, text: str) -> None:
    """Replace the table of this name on a page."""
    path = path_of(page, language)
    path.write_text(
        _TABLE.sub(
            lambda found: f"{found['begin']}{text}{found['end']}" if found["name"] == name else found[0],
            path.read_text("utf-8"),
        ),
        "utf-8",
    )


def cells(table: str) -> list[list[str]]:
    """Return the cells of a Markdown table, without its header."""
    rows = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]
