"""The options of a message, and the actions for templates, batches, balance and estimates."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import voluptuous as vol
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from sms1680.sandbox import Call, Fault, Sandbox
from sms1680.sandbox.verdicts import Verdict
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    STRANGER,
    MakeEntry,
    SetUp,
    act,
    refuse_long_texts,
)

pytestmark = pytest.mark.usefixtures("entry")


class TestOptions:
    """Time, extension and priority."""

    async def test_time_without_a_zone_is_local(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await hass.config.async_set_time_zone("America/New_York")
        at = (dt_util.now() + timedelta(days=1)).replace(microsecond=0)
        await act(hass, "send_message", message="x", number=ALICE, at=at.strftime("%Y-%m-%d %H:%M:%S"))
        await act(hass, "send_message", message="y", number=ALICE, at=at.astimezone(ZoneInfo("Asia/Tokyo")).isoformat())
        assert [datetime.fromtimestamp(one.due_at, at.tzinfo) for one in sandbox.platform.messages] == [at, at]

    async def test_past_time_is_rejected(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        with pytest.raises(ServiceValidationError, match="must be in the future"):
            await act(hass, "send_message", message="x", number=ALICE, at="2020-01-01 00:00:00")
        assert not sandbox.platform.messages

    async def test_extension_keeps_its_leading_zero(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await act(hass, "send_message", message="x", number=ALICE, extension="012")
        assert [message.extension for message in sandbox.platform.messages] == ["012"]

    @pytest.mark.parametrize("extension", [10, "1a", "1" * 21])
    async def test_invalid_extension_is_rejected(
        self, hass: HomeAssistant, sandbox: Sandbox, extension: object
    ) -> None:
        with pytest.raises(ServiceValidationError, match="extension"):
            await act(hass, "send_message", message="x", number=ALICE, extension=extension)
        assert not sandbox.platform.messages

    async def test_extension_of_the_call_overrides_that_of_the_recipient(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        alice = entry.subentries["alice"]
        hass.config_entries.async_update_subentry(entry, alice, data={"number": ALICE, "extension": "7"})
        await hass.async_block_till_done()
        answer = await act(hass, "send_message", message="x", entity_id=["notify.alice", "notify.bob"])
        assert [message["recipient"] for message in answer["messages"]] == ["Alice", "Bob"]
        assert extensions(sandbox) == {ALICE: "7", BOB: ""}
        await act(hass, "send_message", message="y", entity_id=["notify.alice", "notify.bob"], extension="9")
        assert extensions(sandbox) == {ALICE: "9", BOB: "9"}

    async def test_unknown_priority_is_rejected(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await act(hass, "send_message", message="x", number=ALICE, priority="critical")
        with pytest.raises(vol.Invalid):
            await act(hass, "send_message", message="x", number=ALICE, priority="urgent")
        assert len(sandbox.platform.messages) == 1

    async def test_text_too_long_for_one_of_two_accounts_is_refused_there(
        self, hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
    ) -> None:
        sandbox.platform.accounts["homeuser"].balances["other"] = 50
        carol: Any = {
            "data": {"number": STRANGER},
            "subentry_id": "carol",
            "subentry_type": "recipient",
            "title": "Carol",
            "unique_id": STRANGER,
        }
        await set_up(
            make_entry(
                http={"product_id": "other"},
                options={"signature": "名" * 30},
                recipients=[carol],
                webhook_id="another",
                push_secret="another",
            )
        )
        await refuse_long_texts(hass)
        answer = await act(hass, "send_message", message="长" * 490, entity_id=["notify.alice", "notify.carol"])
        assert [one["reason"] for one in answer["messages"]] == [None, "too_long"]
        assert [message.number for message in sandbox.platform.messages] == [ALICE]


def extensions(sandbox: Sandbox) -> dict[str, str]:
    """Return the extension of the last message to each number."""
    return {message.number: message.extension for message in sandbox.platform.messages}


class TestTemplateAndBatch:
    """Each row gets its own text."""

    async def test_template_is_filled_in_for_each_row(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        rows = [
            {"number": STRANGER, "values": ["李先生", "22:41"]},
            {"entity_id": "notify.alice", "values": ["Alice", 7]},
        ]
        answer = await act(hass, "send_template", template="{A}，后门 {B} 打开", rows=rows)
        assert [(message["number"], message["recipient"], message["outcome"]) for message in answer["messages"]] == [
            (STRANGER, None, "accepted"),
            (ALICE, "Alice", "accepted"),
        ]
        assert {message.number: message.text for message in sandbox.platform.messages} == {
            STRANGER: "【某某科技】李先生，后门 22:41 打开",
            ALICE: "【某某科技】Alice，后门 7 打开",
        }

    async def test_batch_sends_each_row_its_own_text(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        messages = [{"number": STRANGER, "message": "一"}, {"entity_id": "notify.bob", "message": "二"}]
        answer = await act(hass, "send_batch", messages=messages)
        assert [message["message_id"] for message in answer["messages"]] == [None, None]
        assert {message.number: message.text for message in sandbox.platform.messages} == {
            STRANGER: "【某某科技】一",
            BOB: "【某某科技】二",
        }

    async def test_row_with_a_separator_is_sent_by_itself(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        rows = [{"number": STRANGER, "values": ["前门, 后门"]}, {"entity_id": "notify.bob", "values": ["窗"]}]
        answer = await act(hass, "send_template", template="{A} 打开", rows=rows)
        assert [message["outcome"] for message in answer["messages"]] == ["accepted", "accepted"]
        assert [bool(message["message_id"]) for message in answer["messages"]] == [True, False]
        messages = [{"number": STRANGER, "message": "水|电 = $5"}, {"entity_id": "notify.bob", "message": "发票|"}]
        messages.append({"entity_id": "notify.alice", "message": "二"})
        answer = await act(hass, "send_batch", messages=messages)
        assert [(message["number"], message["outcome"]) for message in answer["messages"]] == [
            (STRANGER, "accepted"),
            (BOB, "refused"),
            (ALICE, "accepted"),
        ]
        assert [(message.number, message.text) for message in sandbox.platform.messages] == [
            (BOB, "【某某科技】窗 打开"),
            (STRANGER, "【某某科技】前门, 后门 打开"),
            (ALICE, "【某某科技】二"),
            (STRANGER, "【某某科技】水|电 = $5"),
        ]

    async def test_invalid_row_is_named_before_sending(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        alice = entry.subentries["alice"]
        hass.config_entries.async_update_subentry(entry, alice, data={"number": ALICE, "extension": "7"})
        hass.config_entries.async_update_entry(entry, options={**entry.options, "single_rows": False})
        await hass.async_block_till_done()
        rows = [{"entity_id": "notify.alice", "values": ["x"]}, {"entity_id": "notify.bob", "values": ["a,b"]}]
        with pytest.raises(ServiceValidationError, match="row 2"):
            await act(hass, "send_template", template="{A}", rows=rows)
        with pytest.raises(ServiceValidationError, match="row 2"):
            await act(
                hass,
                "send_batch",
                messages=[{"entity_id": "notify.alice", "message": "x"}, {"number": STRANGER, "message": "$"}],
            )
        assert not sandbox.platform.messages

    @pytest.mark.parametrize(
        "row",
        [
            {"message": "x"},
            {"message": "x", "number": ALICE, "entity_id": "notify.alice"},
            {"number": ALICE},
            {"message": "x", "nummer": ALICE},
        ],
    )
    async def test_row_requires_exactly_one_addressee(
        self, hass: HomeAssistant, sandbox: Sandbox, row: dict[str, str]
    ) -> None:
        with pytest.raises(vol.Invalid):
            await act(hass, "send_batch", messages=[row])
        with pytest.raises(vol.Invalid):
            await act(hass, "send_batch", messages=[])
        assert not sandbox.platform.messages

    @pytest.mark.parametrize(
        ("row", "error"),
        [
            ({"message": "x", "entity_id": "notify.nobody"}, "notify.nobody"),
            ({"message": "x", "number": "12345"}, "number 1 is not"),
        ],
    )
    async def test_row_with_an_unknown_addressee_is_rejected(
        self, hass: HomeAssistant, sandbox: Sandbox, row: dict[str, str], error: str
    ) -> None:
        with pytest.raises(ServiceValidationError, match=error):
            await act(hass, "send_batch", messages=[row, row])
        assert not sandbox.platform.messages

    async def test_rows_require_permission_too(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        user = MockUser().add_to_hass(hass)
        user.mock_policy({"entities": {"entity_ids": {"notify.alice": True}}})
        for row in ({"number": ALICE}, {"entity_id": "notify.bob"}):
            with pytest.raises(Unauthorized):
                await hass.services.async_call(
                    "sms1680",
                    "send_batch",
                    {"messages": [{**row, "message": "x"}]},
                    blocking=True,
                    context=Context(user_id=user.id),
                )
        assert not sandbox.platform.messages
        await hass.services.async_call(
            "sms1680",
            "send_batch",
            {"messages": [{"entity_id": "notify.alice", "message": "x"}]},
            blocking=True,
            context=Context(user_id=user.id),
        )
        assert [message.number for message in sandbox.platform.messages] == [ALICE]

    async def test_one_error_names_all_failed_rows(self, hass: HomeAssistant) -> None:
        messages = [
            {"entity_id": "notify.alice", "message": "发票"},
            {"entity_id": "notify.bob", "message": "发票"},
        ]
        with pytest.raises(HomeAssistantError) as caught:
            await hass.services.async_call("sms1680", "send_batch", {"messages": messages}, blocking=True)
        assert "Alice 138****0001" in str(caught.value)
        assert "Bob 138****0002" in str(caught.value)


class TestBalance:
    """`sms1680.get_balance` queries the balance and updates the sensor."""

    async def test_balance_is_queried_now(self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
        sandbox.platform.accounts["homeuser"].balances["61341"] = 321
        assert await act(hass, "get_balance", config_entry_id=entry.entry_id) == {"balance": 321}
        state = hass.states.get("sensor.home_balance")
        assert state is not None
        assert state.state == "321"

    async def test_refused_query_is_an_error(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        sandbox.platform.faults.choose = lambda call: Fault(verdict=Verdict.IP) if call is Call.BALANCE else None
        with pytest.raises(HomeAssistantError, match="public IP address is not authorized"):
            await act(hass, "get_balance")
        state = hass.states.get("binary_sensor.home_can_send")
        assert state is not None
        assert state.attributes["reason"] == "ip"


class TestEstimate:
    """`sms1680.estimate` sends nothing."""

    async def test_estimate_has_costs_and_warnings(
        self, hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
    ) -> None:
        priced = make_entry(title="Priced", options={"price": 0.045}, recipients=[], webhook_id="w", push_secret="p")
        await set_up(priced)
        estimate = await act(hass, "estimate", message="见 http://a.cn " + "长" * 60, config_entry_id=priced.entry_id)
        assert estimate == {
            "parts": 2,
            "characters": 80,
            "flow": 2,
            "cost": 0.09,
            "warnings": ["unregistered links are often blocked: “http://a.cn”"],
        }
        assert not sandbox.platform.messages

    async def test_no_cost_without_a_price(self, hass: HomeAssistant) -> None:
        assert (await act(hass, "estimate", message="门开了"))["cost"] is None

    async def test_invalid_text_is_an_error(self, hass: HomeAssistant) -> None:
        with pytest.raises(ServiceValidationError, match="empty"):
            await act(hass, "estimate", message=" ")


async def test_notify_entity_shows_messages_sent_by_actions(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory
) -> None:
    from homeassistant.components.notify import NotifyEntity

    if not hasattr(NotifyEntity, "_async_record_notification"):
        pytest.skip("Home Assistant before 2026.4 has no way to record it")
    freezer.move_to("2027-01-02T03:04:05+00:00")
    await act(hass, "send_message", message="x", entity_id="notify.alice")
    await act(hass, "send_message", message="发票", entity_id="notify.bob")
    alice, bob = hass.states.get("notify.alice"), hass.states.get("notify.bob")
    assert alice is not None
    assert bob is not None
    assert alice.state == "2027-01-02T03:04:05+00:00"
    assert bob.state == "unknown"
