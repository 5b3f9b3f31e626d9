"""Pushes of the platform that break a rule, over HTTP to Home Assistant's own web server."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
import yaml
from field.incoming import SPELLINGS_OF_1, TEXTS
from homeassistant.core import Event, HomeAssistant
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_mock_service
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from support.pages import all_examples
from yarl import URL

from custom_components.sms1680.conversation.engine.commands import Secret, read_command
from tests.home_assistant.helpers import ALICE, WEBHOOK, MakeEntry, SetUp, recipient, with_triggers


async def push(http: Any, query: str) -> None:
    response = await http.get(URL(f"{WEBHOOK}?{query}", encoded=True))
    assert (response.status, await response.text()) == (200, "0")


@pytest.mark.usefixtures("entry")
async def test_report_belongs_to_its_recipient_whatever_the_spelling_of_the_number(
    hass_client_no_auth: ClientSessionGenerator, reports: list[Event], entry: MockConfigEntry
) -> None:
    http = await hass_client_no_auth()
    for number in (ALICE, f"%2B86%20{ALICE[:3]}-{ALICE[3:]}", f"0086{ALICE}", f"%E2%80%AD{ALICE}%E2%80%AC"):
        await push(http, f"msgid={len(reports)}&mobile={number}&status=0")
    assert [report.data["subentry_id"] for report in reports] == ["alice"] * 4
    assert {report.data["config_entry_id"] for report in reports} == {entry.entry_id}


@pytest.mark.usefixtures("entry")
async def test_text_in_any_encoding_is_received_as_it_was_written(
    hass_client_no_auth: ClientSessionGenerator, messages: list[Event]
) -> None:
    http = await hass_client_no_auth()
    cases = [case for case in TEXTS if case.push and quote(case.octets).isprintable()]
    for place, case in enumerate(cases):
        await push(http, f"mobile={ALICE}&content={quote(case.octets)}&xh={place};")
    received = [(case.name, message.data["content"]) for case, message in zip(cases, messages, strict=True)]
    assert received == [(case.name, case.text) for case in cases]


def automation(name: str) -> dict[str, Any]:
    """Return the last automation of an example that turns off the siren."""
    [example] = [one for one in all_examples("automation") if one.name == name]
    found = [one for one in yaml.safe_load(example.text) if one["actions"][0].get("action") == "switch.turn_off"]
    return dict(found[-1])


@pytest.mark.parametrize(
    ("page_example", "more"),
    [("answer", ()), pytest.param("triggers", ("OK。", "好的", "【某某科技】ok"), marks=with_triggers)],
)
async def test_automation_of_the_pages_acts_on_every_spelling(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    hass_client_no_auth: ClientSessionGenerator,
    *,
    page_example: str,
    more: tuple[str, ...],
) -> None:
    await set_up(make_entry(recipients=[recipient("Li", ALICE)]))
    turned_off = async_mock_service(hass, "switch", "turn_off")
    assert await async_setup_component(hass, "automation", {"automation": automation(page_example)})
    http = await hass_client_no_auth()
    spellings = [*SPELLINGS_OF_1[:-1], *more]  # Home Assistant's own filter rejects line ends in a push
    for place, text in enumerate(spellings):
        await push(http, f"mobile={ALICE}&content={quote(text)}&xh={place};")
        await hass.async_block_till_done()
        assert len(turned_off) == place + 1, text
    await push(http, f"mobile={ALICE}&content=11&xh=99;")
    await hass.async_block_till_done()
    assert len(turned_off) == len(spellings)


async def test_command_word_is_compared_in_the_same_form() -> None:
    secret = Secret("pin", "482917")
    for content in (
        "开门 482917",
        "开 门，482917",
        "【某某科技】开门482917",
        "\u200b开门。 4️⃣8️⃣2️⃣9️⃣1️⃣7️⃣",
        "ＯＰＥＮ 482917",
    ):
        attempt = read_command(content, ["开门", "open"], secret)
        assert attempt is not None, content
        assert (attempt.word, attempt.text, attempt.code) == ("open" if "Ｏ" in content else "开门", "", "482917")
    assert read_command("不开门 482917", ["开门"], secret) is None
