"""Texts drawn at random through `sms1680.send_message`, cut and split: nothing is refused, nothing is lost in between.

SMS1680_FIELD_DRAWS sets the number of texts; the long form is 10000. They are drawn in blocks, each a test of its own.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable

import pytest
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.client.text import units
from sms1680.sandbox import Account, Config, Sandbox
from tests.home_assistant.helpers import ALICE, PASSWORD, PRODUCT, SIGNED, USERNAME, SetUp, act

BLOCK = 200
DRAWS = int(os.environ.get("SMS1680_FIELD_DRAWS", "30"))
BLOCKS = [min(BLOCK, DRAWS - begin) for begin in range(0, DRAWS, BLOCK)]
# How many tokens a text has, and how many of the texts of a block are drawn: the longest take long to send.
LENGTHS = (3, 20, 60, 150, 300), 1
LONGEST = (600, 1200, 2000), 40
MARK = re.compile(r"\A(?:\(\d+/\d+\))?")
TOKENS = [
    *(
        (same, same)
        for same in ("后门打开", "host-017 ", "😀", "👨‍👩‍👧", "❤️", "【客厅】", "，", "[1]", "a\n", "28°C；")
    ),
    *((removed, "") for removed in ("\x1b[1;31m", "\x00", "\ufeff", "\u200b", "\u202e", "\x1b")),
    *(("\r\n", "\n"), ("\u2028", "\n"), ("\udcff", "\ufffd")),
]


@pytest.fixture
def sandbox_config() -> Config:
    """Return a platform with a balance that the texts do not use up."""
    return Config(accounts=(Account(USERNAME, PASSWORD, products={PRODUCT: 10**8}),), report_delay=0.0, cmpp_port=0)


@pytest.mark.parametrize("block", range(len(BLOCKS)))
@pytest.mark.parametrize(
    ("mode", "drawn"),
    [
        pytest.param("cut", LENGTHS, id="cut"),
        pytest.param("split", LENGTHS, id="split"),
        pytest.param("split", LONGEST, id="longest"),
    ],
)
async def test_random_texts_arrive(
    hass: HomeAssistant,
    make_entry: Callable[..., MockConfigEntry],
    set_up: SetUp,
    sandbox: Sandbox,
    record_property: Callable[..., None],
    mode: str,
    drawn: tuple[tuple[int, ...], int],
    block: int,
) -> None:
    hass.loop.set_debug(False)  # it takes most of the time
    no_limits = dict.fromkeys(("hourly_limit", "daily_limit", "number_limit"), 0)
    await set_up(make_entry(options={"long_text": mode, **no_limits}))
    chance = random.Random(1680 + block)
    seen = many = 0
    lengths, share = drawn
    count = -(-BLOCKS[block] // share)
    for _ in range(count):
        tokens = [("后", "后"), *chance.choices(TOKENS, k=chance.choice(lengths)), ("。", "。")]
        arrives = "".join(right for _, right in tokens)
        answer = await act(
            hass, "send_message", message="".join(given for given, _ in tokens), entity_id="notify.alice"
        )
        messages = sandbox.platform.messages[seen:]
        seen += len(messages)
        (result,) = answer["messages"]
        assert (result["number"], result["outcome"]) == (ALICE, "accepted")
        assert result["parts"] == sum(message.parts for message in messages)
        assert all(units(message.text) <= 500 for message in messages)
        joined = "".join(MARK.sub("", message.text.removeprefix(SIGNED)) for message in messages)
        long = units(arrives) > 500 - len(SIGNED)
        many += long
        assert result["long_text"] == (mode if long else None)
        if long and mode == "cut":
            assert joined.endswith("…")
            assert arrives.startswith(joined[:-1])
            assert units(joined) >= 500 - len(SIGNED) - 2
        else:
            assert joined == arrives
    for name, figure in (("texts", count), ("messages", seen), ("long", many)):
        record_property(name, figure)
