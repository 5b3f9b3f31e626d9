"""The errors of actions: each is whole in its language, says a thing once, and names what is wrong."""

from __future__ import annotations

import pytest
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry
from support.sentences import foreign_words

from custom_components.sms1680.client import Outcome, Reason, Receipt
from custom_components.sms1680.errors import not_delivered_error, reason_and_advice, send_error
from tests.home_assistant.helpers import ALICE, MakeEntry, SetUp

ONCE = ("may have been sent", "not repeated", "was not sent", "not sent", "may be sent again", "arrived", "repeat it")


def details(error: HomeAssistantError | None) -> str:
    assert error is not None
    assert error.translation_placeholders is not None
    return error.translation_placeholders["details"]


@pytest.mark.parametrize("reason", Reason)
async def test_composed_error_is_whole_in_its_language(hass: HomeAssistant, reason: Reason) -> None:
    for language, own in (("en", "en"), ("zh-Hans", "zh")):
        hass.config.language = language
        for outcome in (Outcome.UNKNOWN, Outcome.REFUSED, Outcome.NOT_SENT):
            receipt = Receipt(ALICE, outcome, reason=reason, detail="发票")
            alone = send_error(hass, [(None, receipt)])
            mixed = send_error(hass, [(None, receipt), (None, Receipt(ALICE, Outcome.REFUSED, reason=Reason.IP))])
            for said in (details(alone), details(mixed)):
                assert not foreign_words(said, "zh" if own == "zh" else "en"), said


@pytest.mark.parametrize("reason", Reason)
async def test_composed_error_says_a_thing_once(hass: HomeAssistant, reason: Reason) -> None:
    await async_setup_component(hass, "homeassistant", {})
    for outcome in (Outcome.UNKNOWN, Outcome.REFUSED, Outcome.NOT_SENT):
        said = str(send_error(hass, [("Alice", Receipt(ALICE, outcome, reason=reason))]))
        for phrase in ONCE:
            assert said.count(phrase) <= 1, said


async def test_unknown_outcome_is_told_in_one_sentence_each(hass: HomeAssistant) -> None:
    lost = Receipt(ALICE, Outcome.UNKNOWN, reason=Reason.LOST)
    assert details(send_error(hass, [("Alice", lost)])) == (
        "Alice 138****0001: The platform did not respond. Ask the recipient before you repeat it."
    )
    refused = Receipt(ALICE, Outcome.REFUSED, reason=Reason.BALANCE)
    assert details(send_error(hass, [("Alice", lost), ("Bob", refused)])).splitlines()[1] == (
        "Bob 138****0001: refused by the platform. "
        "The balance is too low. Top up the product. Then it may be sent again."
    )
    hass.config.language = "zh-Hans"
    assert details(send_error(hass, [("爸爸", lost)])) == "爸爸 138****0001：未收到平台的应答。重发前请先向接收人确认。"
    assert details(not_delivered_error(hass, [("爸爸", lost, None)])).startswith("爸爸 138****0001：期限内")
    assert reason_and_advice(Receipt(ALICE, Outcome.REFUSED, reason=Reason.FORBIDDEN_WORDS, detail="发票"), "en") == (
        "The text contains words that the platform forbids (发票). It may be sent with another text."
    )


@pytest.mark.parametrize("own", [False, True])
async def test_unknown_name_in_yaml_is_not_told_as_a_bad_number(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, *, own: bool
) -> None:
    account = {"username": "x", "password": "y", "product_id": "1"} if own else {"account": "Home"}
    line = {"platform": "sms1680", "name": "sms", "recipients": [ALICE], **account}
    assert await async_setup_component(hass, "notify", {"notify": [line]})
    await hass.async_block_till_done()
    await set_up(make_entry())
    with pytest.raises(ServiceValidationError) as caught:
        await hass.services.async_call("notify", "sms", {"message": "x", "target": ["Carol"]}, blocking=True)
    assert caught.value.translation_key == ("name_without_account" if own else "unknown_name")
    assert "Carol" in str(caught.value)
    with pytest.raises(ServiceValidationError, match="number 1 is not a mainland mobile number"):
        await hass.services.async_call("notify", "sms", {"message": "x", "target": ["1380000"]}, blocking=True)


@pytest.mark.parametrize("disabled", ["account", "entity"])
async def test_disabled_account_and_entity_are_named(
    hass: HomeAssistant, entry: MockConfigEntry, disabled: str
) -> None:
    if disabled == "account":
        await hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)
    else:
        er.async_get(hass).async_update_entity("notify.alice", disabled_by=er.RegistryEntryDisabler.USER)
    await hass.async_block_till_done()
    calls = (
        ("send_message", {"message": "x", "entity_id": "notify.alice"}),
        ("send_batch", {"messages": [{"message": "x", "entity_id": "notify.alice"}]}),
    )
    for action, data in calls:
        with pytest.raises(ServiceValidationError) as caught:
            await hass.services.async_call("sms1680", action, data, blocking=True)
        assert caught.value.translation_key == f"{disabled}_disabled"
        assert ("Home" if disabled == "account" else "notify.alice") in str(caught.value)
