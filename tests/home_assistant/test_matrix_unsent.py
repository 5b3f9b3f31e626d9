"""Calls that are rejected before anything is sent: each message has its events, and a critical one a repair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import Context, Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser

from custom_components.sms1680.const import DOMAIN
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    STRANGER,
    critical_repairs,
    push_report,
    refuse_long_texts,
    send_to_number,
    use_gateway,
)

CRITICAL = {"priority": "critical"}
TOO_LONG = "长" * 700


async def call(hass: HomeAssistant, action: str, context: Context | None = None, **data: Any) -> None:
    """Call an action with a text."""
    domain, name = action.split(".")
    given = {"message": "门开了", **data}
    await hass.services.async_call(domain, name, given, blocking=True, context=context)
    await hass.async_block_till_done()


@pytest.fixture
async def yaml(hass: HomeAssistant, sandbox: Sandbox) -> None:
    """Set up YAML entries: by the name of an account, by that of none, and with an own account."""
    own = {"username": "homeuser", "password": "x", "product_id": 1, "gateway": sandbox.url, "recipients": [ALICE]}
    lines = [
        {"name": "line", "account": "Home", "recipients": ["Alice", STRANGER]},
        {"name": "lost", "account": "Nowhere", "recipients": ["Alice", STRANGER]},
        {"name": "own", **own},
    ]
    assert await async_setup_component(hass, "notify", {"notify": [{"platform": DOMAIN, **line} for line in lines]})
    await hass.async_block_till_done()


def close(kind: str) -> Callable[[HomeAssistant, MockConfigEntry], Any]:
    """Return a function that makes an account unable to send."""

    async def run(hass: HomeAssistant, entry: MockConfigEntry) -> None:
        if kind == "disabled":
            await hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)
        else:
            await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()

    return run


def told(fired: dict[str, list[Event]]) -> list[tuple[Any, ...]]:
    """Return number, recipient and reason of each event of a send; each failure has the same."""
    both = [
        [(one.data["number"], one.data["recipient"], one.data["outcome"], one.data["reason"]) for one in fired[name]]
        for name in ("sent", "failed")
    ]
    assert both[0] == both[1]
    for one in (*fired["sent"], *fired["failed"]):
        assert one.data["repeatable"] is (one.data["outcome"] == "not_sent")
    return both[0]


@pytest.mark.parametrize("kind", ["not_loaded", "disabled"])
class TestAccountThatCannotSend:
    @pytest.fixture(autouse=True)
    async def _closed(self, hass: HomeAssistant, yaml: None, entry: MockConfigEntry, kind: str) -> None:  # noqa: ARG002
        er.async_get(hass).async_update_entity("notify.alice_critical", disabled_by=None)
        await close(kind)(hass, entry)

    @pytest.fixture
    def reason(self, kind: str) -> str:
        return f"account_{kind}"

    async def test_notify_entity(
        self, hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]], reason: str
    ) -> None:
        context = Context()
        await call(hass, "notify.send_message", context, entity_id="notify.alice")
        assert told(fired) == [(ALICE, "Alice", "not_sent", reason)]
        assert {one.data["config_entry_id"] for one in fired["failed"]} == {entry.entry_id}
        assert {one.context.parent_id for one in (*fired["sent"], *fired["failed"])} == {context.id}
        assert critical_repairs(hass) == []

    async def test_critical_notify_entity(
        self, hass: HomeAssistant, fired: dict[str, list[Event]], reason: str
    ) -> None:
        await call(hass, "notify.send_message", entity_id="notify.alice_critical")
        assert told(fired) == [(ALICE, "Alice", "not_sent", reason)]
        assert fired["failed"][0].data["priority"] == "critical"
        (repair,) = critical_repairs(hass)
        assert (repair.translation_placeholders or {})["who"] == "Alice"

    async def test_yaml(self, hass: HomeAssistant, fired: dict[str, list[Event]], reason: str, kind: str) -> None:
        with pytest.raises(ServiceValidationError, match=f"Home is {kind.replace('_', ' ')}"):
            await call(hass, "notify.line", data=CRITICAL)
        assert told(fired) == [(ALICE, "Alice", "not_sent", reason), (STRANGER, None, "not_sent", reason)]
        assert len(critical_repairs(hass)) == 2

    async def test_action(self, hass: HomeAssistant, fired: dict[str, list[Event]], reason: str) -> None:
        with pytest.raises(ServiceValidationError, match="Home is"):
            await call(hass, "sms1680.send_message", entity_id="notify.alice", number=[BOB, "1"], **CRITICAL)
        assert told(fired) == [(ALICE, "Alice", "not_sent", reason), (BOB, "Bob", "not_sent", reason)]
        assert len(critical_repairs(hass)) == 2

    @pytest.mark.parametrize("target", [{"entity_id": "notify.alice"}, {"number": ALICE}])
    async def test_batch(
        self, hass: HomeAssistant, fired: dict[str, list[Event]], reason: str, target: dict[str, str]
    ) -> None:
        batch = {"messages": [{"message": "门开了", **target}]}
        with pytest.raises(ServiceValidationError):
            await hass.services.async_call("sms1680", "send_batch", batch, blocking=True)
        assert told(fired) == [(ALICE, "Alice", "not_sent", reason)]

    async def test_raw_number(self, hass: HomeAssistant, fired: dict[str, list[Event]], reason: str, kind: str) -> None:
        with pytest.raises(ServiceValidationError, match=f"Home is {kind.replace('_', ' ')}"):
            await call(hass, "sms1680.send_message", number=STRANGER)
        assert told(fired) == [(STRANGER, None, "not_sent", reason)]

    async def test_later_delivery_removes_the_repair(
        self, hass: HomeAssistant, entry: MockConfigEntry, kind: str, fired: dict[str, list[Event]]
    ) -> None:
        await call(hass, "notify.send_message", entity_id="notify.alice_critical")
        assert len(critical_repairs(hass)) == 1
        if kind == "disabled":
            await hass.config_entries.async_set_disabled_by(entry.entry_id, None)
        else:
            await hass.config_entries.async_setup(entry.entry_id)
        await send_to_number(hass)
        message_id = fired["sent"][-1].data["message_id"]
        await push_report(hass, entry, message_id, "DELIVRD")
        assert critical_repairs(hass) == []


@pytest.mark.usefixtures("yaml", "entry")
async def test_account_that_does_not_exist(hass: HomeAssistant, fired: dict[str, list[Event]]) -> None:
    with pytest.raises(ServiceValidationError, match="Nowhere does not exist"):
        await call(hass, "notify.lost", data=CRITICAL)
    assert told(fired) == [
        ("", "Alice", "not_sent", "account_not_found"),
        (STRANGER, None, "not_sent", "account_not_found"),
    ]
    assert {one.data["config_entry_id"] for one in fired["failed"]} == {None}
    assert sorted((one.translation_placeholders or {})["who"] for one in critical_repairs(hass)) == [
        "139****0009",
        "Alice",
    ]


@pytest.mark.usefixtures("entry")
async def test_entity_that_the_user_disabled(hass: HomeAssistant, fired: dict[str, list[Event]]) -> None:
    await call(hass, "notify.send_message", entity_id="notify.alice_critical")
    assert told(fired) == [(ALICE, "Alice", "not_sent", "recipient_disabled")]
    assert len(critical_repairs(hass)) == 1
    with pytest.raises(ServiceValidationError, match="is disabled"):
        await call(hass, "sms1680.send_message", entity_id="notify.alice_critical")
    assert len(fired["failed"]) == 2


@pytest.mark.parametrize(
    ("action", "data", "who"),
    [
        ("notify.send_message", {"entity_id": "notify.alice"}, "Alice"),
        ("sms1680.send_message", {"number": ALICE}, "Alice"),
        ("notify.line", {"target": "Alice"}, "Alice"),
    ],
)
@pytest.mark.usefixtures("yaml", "entry")
async def test_text_that_cannot_be_sent(
    hass: HomeAssistant, fired: dict[str, list[Event]], action: str, data: dict[str, Any], who: str | None
) -> None:
    await refuse_long_texts(hass)
    with pytest.raises(HomeAssistantError, match="500"):
        await call(hass, action, message=TOO_LONG, **data)
    assert told(fired) == [(ALICE, who, "refused", "parameter")]
    assert "500" in fired["failed"][0].data["problem"]


@pytest.mark.usefixtures("yaml", "entry")
async def test_yaml_call_with_an_unknown_name(
    hass: HomeAssistant, fired: dict[str, list[Event]], sandbox: Sandbox
) -> None:
    hass.config.language = "zh-Hans"
    with pytest.raises(ServiceValidationError):
        await call(hass, "notify.line", target=["Zoe"], data={"when": 1, **CRITICAL})
    assert told(fired) == [("", "Zoe", "refused", "parameter")]
    assert fired["failed"][0].data["problem"] == "调用无效，详情见 Home Assistant 日志。"
    assert len(critical_repairs(hass)) == 1
    assert not sandbox.platform.messages


@pytest.mark.usefixtures("entry")
async def test_raw_number_of_an_unauthorised_user_is_not_reported(
    hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]]
) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    user = MockUser().add_to_hass(hass)
    with pytest.raises(HomeAssistantError):
        await call(hass, "sms1680.send_message", Context(user_id=user.id), number=STRANGER)
    assert fired["failed"] == []


async def test_person_of_an_unloaded_account(
    hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]]
) -> None:
    data = {"number": ALICE, "person": "person.alice"}
    hass.config_entries.async_update_subentry(entry, entry.subentries["alice"], data=data)
    await hass.async_block_till_done(wait_background_tasks=True)
    await hass.config_entries.async_unload(entry.entry_id)
    with pytest.raises(ServiceValidationError, match="not loaded"):
        await call(hass, "sms1680.send_message", entity_id="person.alice")
    assert told(fired) == [(ALICE, "Alice", "not_sent", "account_not_loaded")]


@pytest.mark.usefixtures("yaml", "no_patience")
async def test_gateway_that_is_off_is_no_rejection(
    hass: HomeAssistant, entry: MockConfigEntry, fired: dict[str, list[Event]]
) -> None:
    await use_gateway(hass, entry, "http://127.0.0.1:9")
    with pytest.raises(HomeAssistantError):
        await call(hass, "notify.line")
    assert len(fired["sent"]) == len(fired["failed"]) == 2
