"""The action `sms1680.send_message`: targets, responses and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import voluptuous as vol
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    label_registry as lr,
)
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser, async_capture_events

from custom_components.sms1680 import const
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, BOB, STRANGER, SetUp, act, numbers, refuse_long_texts


async def send(hass: HomeAssistant, **data: Any) -> dict[str, Any]:
    """Send and return the whole response."""
    return await act(hass, "send_message", **{"message": "门开了", **data})


async def send_blindly(hass: HomeAssistant, **data: Any) -> None:
    await hass.services.async_call("sms1680", "send_message", {"message": "门开了", **data}, blocking=True)


@pytest.mark.usefixtures("entry")
async def test_recipients_and_numbers_share_one_request(hass: HomeAssistant, sandbox: Sandbox) -> None:
    answer = await send(hass, entity_id=["notify.bob", "notify.alice"], number=["+86 139-0000-0009"])
    ids = {message.number: message.message_id for message in sandbox.platform.messages}
    assert answer == {
        "messages": [
            {
                "number": number,
                "recipient": name,
                "outcome": "accepted",
                "message_id": ids[number],
                "parts": 1,
                "reason": None,
                "safe_text": False,
                "repeated": False,
                "long_text": None,
                "delayed_until": None,
                "trying_until": None,
                "fallback": [],
            }
            for number, name in ((BOB, "Bob"), (ALICE, "Alice"), (STRANGER, None))
        ]
    }
    assert sandbox.platform.counts()["verdict_accepted"] == 1
    assert {message.text for message in sandbox.platform.messages} == {"【某某科技】门开了"}


@pytest.mark.usefixtures("entry")
async def test_number_reached_twice_gets_one_message(hass: HomeAssistant, sandbox: Sandbox) -> None:
    answer = await send(hass, entity_id="notify.alice", number=[ALICE, "0086 13800000001"])
    assert [message["recipient"] for message in answer["messages"]] == ["Alice"]
    assert numbers(sandbox) == [ALICE]


@pytest.mark.usefixtures("entry")
async def test_raw_number_of_a_recipient_has_its_name_in_the_response(hass: HomeAssistant) -> None:
    answer = await send(hass, number=BOB)
    assert [(message["number"], message["recipient"]) for message in answer["messages"]] == [(BOB, "Bob")]


@pytest.mark.usefixtures("entry")
async def test_devices_areas_and_labels_reach_only_our_recipients(hass: HomeAssistant, sandbox: Sandbox) -> None:
    entities = er.async_get(hass)
    area = ar.async_get(hass).async_create("Hall")
    label = lr.async_get(hass).async_create("Guards")
    alice = entities.async_get("notify.alice")
    assert alice is not None
    assert alice.device_id is not None
    dr.async_get(hass).async_update_device(alice.device_id, area_id=area.id)
    entities.async_update_entity("notify.bob", labels={label.label_id})
    stranger = entities.async_get_or_create("notify", "other", "stranger")
    entities.async_update_entity(stranger.entity_id, labels={label.label_id}, area_id=area.id)
    await send(hass, device_id=alice.device_id)
    assert numbers(sandbox) == [ALICE]
    await send(hass, area_id=area.id, label_id=label.label_id)
    assert numbers(sandbox) == [ALICE, ALICE, BOB]


async def test_person_targets_its_recipient(
    hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry], set_up: SetUp, sandbox: Sandbox
) -> None:
    entry = make_entry()
    hass.config_entries.async_update_subentry(
        entry, entry.subentries["alice"], data={"number": ALICE, "person": "person.alice"}
    )
    await set_up(entry)
    await send(hass, entity_id="person.alice")
    assert numbers(sandbox) == [ALICE]
    with pytest.raises(ServiceValidationError, match=r"person\.bob"):
        await send(hass, entity_id="person.bob")


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("target", "error"),
    [
        ({}, "has no recipient"),
        ({"entity_id": []}, "has no recipient"),
        ({"number": []}, "has no recipient"),
        ({"entity_id": "notify.nobody"}, "notify.nobody"),
        ({"entity_id": ["notify.nobody", "notify.other_stranger"]}, "notify.other_stranger"),
        ({"device_id": "gone"}, "gone"),
        ({"entity_id": "notify.nobody", "area_id": "gone"}, "gone"),
        ({"label_id": "gone"}, "gone"),
        ({"number": ["123", "12345"]}, "number 1 is not a mainland mobile number"),
        ({"number": ALICE, "config_entry_id": "gone"}, "the account gone does not exist"),
    ],
)
async def test_target_that_is_no_recipient_is_rejected_before_sending(
    hass: HomeAssistant, sandbox: Sandbox, target: dict[str, Any], error: str
) -> None:
    er.async_get(hass).async_get_or_create("notify", "other", "stranger")
    with pytest.raises(ServiceValidationError, match=error):
        await send(hass, **target)
    assert not sandbox.platform.messages


@pytest.mark.parametrize("everyone", ["all", "none"])
@pytest.mark.usefixtures("entry")
async def test_no_target_means_everybody(hass: HomeAssistant, sandbox: Sandbox, everyone: str) -> None:
    with pytest.raises(vol.Invalid):
        await send(hass, entity_id=everyone)
    assert not sandbox.platform.messages


@pytest.mark.usefixtures("entry", "sandbox")
async def test_area_without_recipients_is_an_error(hass: HomeAssistant) -> None:
    area = ar.async_get(hass).async_create("Hall")
    with pytest.raises(ServiceValidationError, match="has no recipient"):
        await send(hass, area_id=area.id)


@pytest.mark.usefixtures("entry", "sandbox")
async def test_disabled_recipient_is_an_error(hass: HomeAssistant) -> None:
    er.async_get(hass).async_update_entity("notify.alice", disabled_by=er.RegistryEntryDisabler.USER)
    with pytest.raises(ServiceValidationError, match=r"notify\.alice"):
        await send(hass, entity_id="notify.alice")


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("message", ["", "  ", "长" * 500])
async def test_invalid_text_is_rejected_before_sending(hass: HomeAssistant, sandbox: Sandbox, message: str) -> None:
    await refuse_long_texts(hass)
    with pytest.raises(ServiceValidationError) as caught:
        await send(hass, entity_id="notify.alice", message=message)
    assert caught.value.translation_key == "invalid_message"
    assert not sandbox.platform.messages


class TestSeveralAccounts:
    """Two accounts of the same platform."""

    @pytest.fixture
    async def other(
        self, make_entry: Callable[..., MockConfigEntry], set_up: SetUp, sandbox: Sandbox
    ) -> MockConfigEntry:
        sandbox.platform.accounts["homeuser"].balances["other"] = 50
        made = make_entry(
            title="Office",
            http={"product_id": "other"},
            recipients=[
                {
                    "data": {"number": STRANGER},
                    "subentry_id": "carol",
                    "subentry_type": "recipient",
                    "title": "Carol",
                    "unique_id": STRANGER,
                }
            ],
            webhook_id="another",
            push_secret="another",
        )
        await set_up(made)
        return made

    async def test_number_requires_an_account(
        self, hass: HomeAssistant, entry: MockConfigEntry, other: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        with pytest.raises(ServiceValidationError) as caught:
            await send(hass, number="13700000000")
        assert f"Home ({entry.entry_id})" in str(caught.value)
        assert f"Office ({other.entry_id})" in str(caught.value)
        await send(hass, number="13700000000", config_entry_id=other.entry_id)
        assert [message.product for message in sandbox.platform.messages] == ["other"]

    @pytest.mark.usefixtures("entry", "other")
    async def test_each_account_sends_to_its_recipients(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        answer = await send(hass, entity_id=["notify.carol", "notify.alice"])
        assert [message["recipient"] for message in answer["messages"]] == ["Carol", "Alice"]
        assert {message.number: message.product for message in sandbox.platform.messages} == {
            STRANGER: "other",
            ALICE: "61341",
        }

    @pytest.mark.usefixtures("other")
    async def test_recipient_of_another_account_is_an_error(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        with pytest.raises(ServiceValidationError, match="Carol"):
            await send(hass, entity_id="notify.carol", config_entry_id=entry.entry_id)
        assert not sandbox.platform.messages

    async def test_account_that_is_not_loaded_is_an_error(
        self, hass: HomeAssistant, entry: MockConfigEntry, other: MockConfigEntry
    ) -> None:
        failed = async_capture_events(hass, const.EVENT_MESSAGE_FAILED)
        await hass.config_entries.async_unload(other.entry_id)
        with pytest.raises(ServiceValidationError, match="Office is not loaded"):
            await send(hass, entity_id="notify.carol")
        with pytest.raises(ServiceValidationError, match="Office is not loaded"):
            await send(hass, number=ALICE, config_entry_id=other.entry_id)
        for disabled in (entry, other):
            await hass.config_entries.async_set_disabled_by(disabled.entry_id, ConfigEntryDisabler.USER)
        with pytest.raises(
            ServiceValidationError, match=r"all accounts are disabled \(Home .*Office .*\)\. Enable one"
        ):
            await send(hass, number=ALICE)
        assert [event.data["reason"] for event in failed][-1] == "account_disabled"
        for removed in (entry, other):
            await hass.config_entries.async_remove(removed.entry_id)
        with pytest.raises(ServiceValidationError, match="no account"):
            await send(hass, number=ALICE)
        assert [event.data["reason"] for event in failed][-1] == "account_not_found"


class TestPermissions:
    """Automations may do everything; users need permissions."""

    @pytest.mark.usefixtures("entry")
    @pytest.mark.parametrize("admin", [True, False])
    async def test_raw_number_requires_an_administrator(
        self, hass: HomeAssistant, sandbox: Sandbox, *, admin: bool
    ) -> None:
        user = MockUser(is_owner=admin).add_to_hass(hass)
        user.mock_policy({"entities": True})
        context = Context(user_id=user.id)
        call = hass.services.async_call(
            "sms1680", "send_message", {"message": "x", "number": ALICE}, blocking=True, context=context
        )
        if admin:
            await call
        else:
            with pytest.raises(Unauthorized):
                await call
        assert len(sandbox.platform.messages) == admin

    @pytest.mark.usefixtures("entry")
    @pytest.mark.parametrize("allowed", ["notify.alice", "notify.bob"])
    async def test_recipient_requires_control_of_its_entity(
        self, hass: HomeAssistant, sandbox: Sandbox, allowed: str
    ) -> None:
        user = MockUser().add_to_hass(hass)
        user.mock_policy({"entities": {"entity_ids": {allowed: True}}})
        call = hass.services.async_call(
            "sms1680",
            "send_message",
            {"message": "x", "entity_id": "notify.alice"},
            blocking=True,
            context=Context(user_id=user.id),
        )
        if allowed == "notify.alice":
            await call
            assert numbers(sandbox) == [ALICE]
        else:
            with pytest.raises(Unauthorized):
                await call
            assert not sandbox.platform.messages

    @pytest.mark.usefixtures("entry")
    async def test_unknown_user_has_no_permission(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        with pytest.raises(Unauthorized):
            await hass.services.async_call(
                "sms1680",
                "send_message",
                {"message": "x", "entity_id": "notify.alice"},
                blocking=True,
                context=Context(user_id="gone"),
            )
        assert not sandbox.platform.messages


class TestWithoutResponse:
    """One translated error lists the failed recipients, the reasons, and whether a repeat is allowed."""

    @pytest.mark.usefixtures("entry")
    async def test_success_raises_nothing(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await send_blindly(hass, entity_id="notify.alice")
        assert numbers(sandbox) == [ALICE]

    @pytest.mark.usefixtures("entry")
    async def test_error_names_the_forbidden_word(self, hass: HomeAssistant) -> None:
        with pytest.raises(HomeAssistantError) as caught:
            await send_blindly(hass, entity_id="notify.alice", message="代开发票")
        assert caught.value.translation_key == "outcome_refused"
        assert "Alice 138****0001: refused by the platform" in str(caught.value)
        assert "发票" in str(caught.value)
        assert "with another text" in str(caught.value)

    @pytest.mark.usefixtures("entry")
    async def test_unknown_outcome_has_its_own_error(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        sandbox.platform.faults.next("drop_after")
        with pytest.raises(HomeAssistantError) as caught:
            await send_blindly(hass, entity_id="notify.alice", number=STRANGER)
        assert caught.value.translation_key == "outcome_unknown"
        assert "may have been sent; it is not repeated automatically" in str(caught.value)
        assert "Alice 138****0001" in str(caught.value)
        assert "139****0009" in str(caught.value)
        assert STRANGER not in str(caught.value)
        assert numbers(sandbox) == [ALICE, STRANGER]

    @pytest.mark.usefixtures("no_patience")
    async def test_error_says_that_an_unsent_message_may_be_repeated(
        self, hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry], set_up: SetUp
    ) -> None:
        await set_up(make_entry(http={"gateway": "http://127.0.0.1:1"}))
        with pytest.raises(HomeAssistantError) as caught:
            await send_blindly(hass, entity_id="notify.alice")
        assert caught.value.translation_key == "outcome_not_sent"
        assert "It may be sent again" in str(caught.value)

    @pytest.mark.usefixtures("entry")
    async def test_error_is_in_the_language_of_home_assistant(self, hass: HomeAssistant) -> None:
        hass.config.language = "zh-Hans"
        with pytest.raises(HomeAssistantError) as caught:
            await send_blindly(hass, entity_id="notify.alice", message="代开发票")
        placeholders = caught.value.translation_placeholders
        assert placeholders is not None
        assert placeholders["details"].startswith("Alice 138****0001：被平台拒绝")
        assert placeholders["details"].endswith("更换内容后可以再发。")

    @pytest.mark.usefixtures("entry")
    async def test_held_message_is_no_error(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await send_blindly(hass, entity_id="notify.alice", message="贷款")
        assert [message.state.value for message in sandbox.platform.messages] == ["held"]


@pytest.mark.usefixtures("entry")
async def test_response_has_the_outcome_of_each_number(hass: HomeAssistant, sandbox: Sandbox) -> None:
    outcomes = []
    for message in ("代开发票", "贷款"):
        answer = await send(hass, entity_id="notify.alice", message=message)
        outcomes += [(sent["outcome"], sent["reason"]) for sent in answer["messages"]]
    sandbox.platform.faults.next("html_accepted")
    answer = await send(hass, entity_id="notify.alice")
    outcomes += [(sent["outcome"], sent["reason"]) for sent in answer["messages"]]
    assert outcomes == [("refused", "forbidden_words"), ("held", "review"), ("unknown", "not_understood")]
