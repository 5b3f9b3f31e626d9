"""Notify entities: always available, one request for equal texts, and an error for a failed message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.account.batching import Sharing
from custom_components.sms1680.client import Receipt
from sms1680.sandbox import Fault, Sandbox

ALICE, BOB = "13800000001", "13800000002"


async def notify(hass: HomeAssistant, *entity_ids: str, message: str = "门开了", **data: Any) -> None:
    await hass.services.async_call(
        "notify", "send_message", {"entity_id": list(entity_ids), "message": message, **data}, blocking=True
    )


def requests(sandbox: Sandbox) -> int:
    """Return how many submissions reached the platform."""
    return sum(sandbox.platform.verdicts.values())


@pytest.mark.usefixtures("entry")
class TestSharing:
    """Equal texts to several entities at about the same time."""

    async def test_several_entities_share_one_request(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await notify(hass, "notify.alice", "notify.bob")
        assert sorted(message.number for message in sandbox.platform.messages) == [ALICE, BOB]
        assert requests(sandbox) == 1

    async def test_different_texts_are_sent_separately(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await asyncio.gather(notify(hass, "notify.alice", message="一"), notify(hass, "notify.bob", message="二"))
        assert {message.number: message.text for message in sandbox.platform.messages} == {
            ALICE: "【某某科技】一",
            BOB: "【某某科技】二",
        }

    async def test_repeated_call_sends_a_second_message(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await asyncio.gather(*(notify(hass, "notify.alice", "notify.bob") for _ in range(2)))
        assert sorted(message.number for message in sandbox.platform.messages) == [ALICE, ALICE, BOB, BOB]

    async def test_different_extensions_are_sent_separately(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        alice = entry.subentries["alice"]
        hass.config_entries.async_update_subentry(entry, alice, data={"number": ALICE, "extension": "7"})
        await hass.async_block_till_done()
        await notify(hass, "notify.alice", "notify.bob")
        assert {message.number: message.extension for message in sandbox.platform.messages} == {ALICE: "7", BOB: ""}

    async def test_call_cancelled_early_is_left_out(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        impatient = hass.async_create_task(notify(hass, "notify.alice"), eager_start=True)
        patient = hass.async_create_task(notify(hass, "notify.bob"), eager_start=True)
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
        assert [message.number for message in sandbox.platform.messages] == [BOB]

    async def test_started_request_completes_after_cancellation(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        sandbox.platform.faults.next(Fault(stall_after=0.1))
        sending = hass.async_create_task(notify(hass, "notify.alice"), eager_start=True)
        await sandbox.wait_for(lambda platform: platform.messages)
        sending.cancel()
        await hass.async_block_till_done()
        state = hass.states.get("sensor.home_messages_sent")
        assert state is not None
        assert state.state == "1"

    async def test_unload_waits_for_the_request(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        sandbox.platform.faults.next(Fault(stall_after=0.1))
        sending = hass.async_create_task(notify(hass, "notify.alice"), eager_start=True)
        await sandbox.wait_for(lambda platform: platform.messages)
        assert await hass.config_entries.async_unload(entry.entry_id)
        await sending


async def test_cancelled_request_cancels_its_callers(hass: HomeAssistant) -> None:
    begun = asyncio.Event()

    async def send(*_: object) -> tuple[Receipt, ...]:
        begun.set()
        return await asyncio.Event().wait()  # type: ignore[return-value]

    sharing = Sharing(hass, send)
    waiting = hass.async_create_task(sharing.send(ALICE, "x", None), eager_start=True)
    await begun.wait()
    for task in sharing._tasks:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await sharing.aclose()


@pytest.mark.usefixtures("entry")
class TestErrors:
    """A failed message always raises."""

    async def test_title_precedes_the_text(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await notify(hass, "notify.alice", message="22:41", title="后门打开")
        assert [message.text for message in sandbox.platform.messages] == ["【某某科技】后门打开\n22:41"]

    async def test_refused_message_raises(self, hass: HomeAssistant) -> None:
        with pytest.raises(HomeAssistantError) as caught:
            await notify(hass, "notify.alice", "notify.bob", message="发票")
        assert caught.value.translation_key == "outcome_refused"

    async def test_unknown_outcome_raises(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        sandbox.platform.faults.next("half")
        with pytest.raises(HomeAssistantError) as caught:
            await notify(hass, "notify.alice")
        assert caught.value.translation_key == "outcome_unknown"
        assert len(sandbox.platform.messages) == 1

    async def test_invalid_text_raises(self, hass: HomeAssistant) -> None:
        with pytest.raises(ServiceValidationError, match="500"):
            await notify(hass, "notify.alice", message="长" * 500)

    async def test_internal_error_raises_for_all_callers(
        self, hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("a fault")

        monkeypatch.setattr(entry.runtime_data.client, "send", broken)
        with pytest.raises(RuntimeError, match="a fault"):
            await notify(hass, "notify.alice", "notify.bob")


async def test_entity_of_an_unloaded_account_raises(
    hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry], set_up: Any
) -> None:
    entry = make_entry()
    await set_up(entry)
    await hass.config_entries.async_unload(entry.entry_id)
    with pytest.raises(ServiceValidationError, match="is not loaded"):
        await hass.services.async_call(
            "sms1680", "send_message", {"entity_id": "notify.alice", "message": "x"}, blocking=True
        )
