"""Texts drawn at random through Apprise: nothing is refused, nothing is lost in between, and the parts are right.

SMS1680_FIELD_DRAWS sets the number of texts; the long form is 10000. They are drawn in blocks, each a test of its own.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator

import apprise
import pytest

from sms1680 import estimate
from sms1680.sandbox import Account, Config, SandboxThread
from sms1680.text import Signature, units

A = "13800210001"
SIGN = Signature("某某科技")
BLOCK = 200
DRAWS = int(os.environ.get("SMS1680_FIELD_DRAWS", "150"))
BLOCKS = [min(BLOCK, DRAWS - begin) for begin in range(0, DRAWS, BLOCK)]
# How many tokens a text has, and how many of the texts of a block are drawn: the longest take long to send.
LENGTHS = (3, 20, 60, 150, 300), 1
LONGEST = (600, 1200, 2000), 40
MARK = re.compile(r"\A【某某科技】(?:\((\d+)/(\d+)\))?")
# What is given, and what must arrive of it.
TOKENS = [
    *(
        (same, same)
        for same in (
            "后门打开",
            "host-017 ",
            "😀",
            "👨‍👩‍👧",
            "❤️",
            "【客厅】",
            "【告警】",
            "，",
            "[1]",
            "a\n",
            "é",
            "温度 28°C；",
        )
    ),
    *((removed, "") for removed in ("\x1b[1;31m", "\x1b[0m", "\x00", "\ufeff", "\u200b", "\u202e", "\x07", "\x1b")),
    *(("\r\n", "\n"), ("\u2028", "\n"), ("\udcff", "\ufffd"), ("\ude00", "\ufffd")),
]


def draw(chance: random.Random, lengths: tuple[int, ...]) -> tuple[str, str]:
    """Return a text, and what must arrive of it."""
    tokens = [("后", "后"), *chance.choices(TOKENS, k=chance.choice(lengths)), ("。", "。")]
    return "".join(given for given, _ in tokens), "".join(arrives for _, arrives in tokens)


@pytest.fixture
def box() -> Iterator[SandboxThread]:
    account = Account(products={"61341": 10**8})
    with SandboxThread(Config(accounts=(account,), report_delay=0.0)) as running:
        yield running


@pytest.mark.parametrize("block", range(len(BLOCKS)))
@pytest.mark.parametrize(
    ("overflow", "drawn"),
    [
        pytest.param("split", LENGTHS, id="split"),
        pytest.param("upstream", LENGTHS, id="upstream"),
        pytest.param("split", LONGEST, id="longest"),
    ],
)
def test_random_texts_arrive(
    box: SandboxThread,
    service: Callable[..., apprise.NotifyBase],
    record_property: Callable[..., None],
    overflow: str,
    drawn: tuple[tuple[int, ...], int],
    block: int,
) -> None:
    sender = service(A, signature=SIGN.name, overflow=overflow, cap="0")
    chance = random.Random(1680 + block)
    seen = sent = long = 0
    count = -(-BLOCKS[block] // drawn[1])
    for _ in range(count):
        text, arrives = draw(chance, drawn[0])
        assert sender.notify(text), "refused"
        messages = box.platform.messages[seen:]
        seen += len(messages)
        sent += len(messages)
        for message in messages:
            assert units(message.text) <= 500
            assert estimate(message.text, signature=SIGN.name).parts == message.parts
        joined = "".join(MARK.sub("", message.text) for message in messages)
        is_long = units(arrives) > 500 - SIGN.length
        long += is_long
        if overflow == "upstream" and is_long:
            assert len(messages) == 1
            assert joined.endswith("…")
            assert arrives.startswith(joined[:-1])
            assert units(joined) >= 500 - SIGN.length - 2
        else:
            assert joined == arrives
            places = [MARK.match(message.text).groups() for message in messages]  # type: ignore[union-attr]
            marks = [(str(at), str(len(places))) for at in range(1, len(places) + 1)]
            assert places == (marks if len(places) > 1 else [(None, None)])
            assert (len(places) > 1) == is_long
    for name, figure in (("texts", count), ("messages", sent), ("long", long)):
        record_property(name, figure)
