"""The words of a digest: which messages it names, in which order, and how it fits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.util import dt as dt_util

from custom_components.sms1680.deferred.digest import Item, digest_text, kind_of, late_text, name_of, unnamed_text
from sms1680 import estimate
from tests.home_assistant.helpers import EVENING, named_in_digest


@pytest.fixture(autouse=True)
async def _time_zone(hass: HomeAssistant) -> None:
    await hass.config.async_set_time_zone("UTC")


def items(*given: str) -> list[Item]:
    start = dt_util.parse_datetime(EVENING)
    assert start is not None
    return [Item(start + timedelta(minutes=place), text) for place, text in enumerate(given)]


def parts(text: str) -> int:
    return estimate(text, signature="某某科技").parts


class TestText:
    """The words of a digest."""

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("水浸 22:41", "水浸 #"),
            ("水浸 2026-01-05 22:41:07", "水浸 # #"),
            ("温度 35.5 度", "温度 # 度"),
            ("5 月 3 日", "# 月 # 日"),
        ],
    )
    def test_kind(self, text: str, kind: str) -> None:
        assert kind_of(text) == kind

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("水浸，厨房", "水浸"),
            ("【家】水浸：厨房", "水浸"),
            ("厨房的水浸传感器报警了", "厨房的水浸传感器"),
            ("Leak in the kitchen of the guest house", "Leak in the kitchen of t"),
            ("，，", "，，"),
        ],
    )
    def test_name(self, text: str, name: str) -> None:
        assert name_of(text) == name

    def test_kinds_with_the_same_beginning_have_longer_names(self) -> None:
        given = items("厨房的水浸传感器报警", "厨房的水浸传感器恢复")
        assert (
            digest_text(given, parts, 3, "zh") == "另有 2 条：厨房的水浸传感器恢复、厨房的水浸传感器报警（23:30–23:31）"
        )

    def test_the_newest_come_first_and_the_rest_is_counted(self) -> None:
        given = items(*(f"{chr(0x5000 + place * 40) * 6}，报警" for place in range(60)))
        text = digest_text(given, parts, 1, "zh")
        assert parts(text) == 1
        assert text.startswith(f"另有 60 条：{given[-1].text[:6]}、{given[-2].text[:6]}")
        assert sum(named_in_digest(text).values()) == 60
        assert parts(digest_text(given, parts, 3, "zh")) == 3

    def test_english(self) -> None:
        given = items("Leak 3", "Leak 4", "Door open")
        assert digest_text(given, parts, 3, "en") == "3 more: Door open, Leak ×2 (23:30–23:32)"
        assert unnamed_text(given, "en") == "3 more messages (23:30–23:32)"

    def test_a_message_of_yesterday_has_its_date(self) -> None:
        given = items(*["水浸"] * 40)
        assert digest_text(given, parts, 3, "zh") == "另有 40 条：水浸×40（01-05 23:30–01-06 00:09）"

    def test_no_name_fits(self) -> None:
        given = items("长长长长长长长长", "短短短短短短短短")
        assert digest_text(given, lambda text: 1 + len(text) // 26, 1, "zh") == "另有 2 条短信未单独发送（23:30–23:31）"

    def test_the_time_of_a_single_message_costs_nothing(self) -> None:
        [item] = items("水" * 60)
        assert late_text(item, parts, 3, "zh") == item.text
        [item] = items("水浸")
        assert late_text(item, parts, 3, "zh") == "水浸（23:30 的短信）"
