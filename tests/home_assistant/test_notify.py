"""The notify entities are always available, share requests, and raise an error for a failed message."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.account.batching import SendBatcher
from custom_components.sms1680.account.journal import SendContext, SendResult
from sms1680.sandbox import Fault, Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    notify,
    refuse_long_texts,
)


def requests(sandbox: Sandbox) -> int:
    """Return how many requests the platform received."""
    return sum(sandbox.platform.verdicts.values())


@pytest.mark.usefixtures("entry")
class TestBatching:
    """Several entities get the same text at about the same time."""

    async def test_several_entities_share_one_request(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await notify(hass, "notify.alice", "notify.bob")
        assert sorted(message.number for message in sandbox.platform.messages) == [ALICE, BOB]
        assert requests(sandbox) == 1

    async def test_other_texts_are_separate_requests(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await asyncio.gather(notify(hass, "notify.alice", message="一"), notify(hass, "notify.bob", message="二"))
        assert {message.number: message.text for message in sandbox.platform.messages} == {
            ALICE: "【某某科技】一",
            BOB: "【某某科技】二",
        }

    async def test_same_text_to_the_same_recipient_twice_is_two_messages(
        self, hass: HomeAssistant, sandbox: Sandbox
    ) -> None:
        await asyncio.gather(*(notify(hass, "notify.alice", "notify.bob") for _ in range(2)))
        assert sorted(message.number for message in sandbox.platform.messages) == [ALICE, ALICE, BOB, BOB]

    async def test_other_extensions_are_separate_requests(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        alice = entry.subentries["alice"]
        hass.config_entries.async_update_subentry(entry, alice, data={"number": ALICE, "extension": "7"})
        await hass.async_block_till_done()
        await notify(hass, "notify.alice", "notify.bob")
        assert {message.number: message.extension for message in sandbox.platform.messages} == {ALICE: "7", BOB: ""}

    async def test_caller_cancelled_in_time_is_left_out(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        impatient = hass.async_create_task(notify(hass, "notify.alice"), eager_start=True)
        patient = hass.async_create_task(notify(hass, "notify.bob"), eager_start=True)
        await asyncio.sleep(0)
        impatient.cancel()
        await patient
        assert [message.number for message in sandbox.platform.messages] == [BOB]

    async def test_started_request_ends_though_all_callers_are_cancelled(
        self, hass: HomeAssistant, sandbox: Sandbox
    ) -> None:
        sandbox.platform.faults.next(Fault(stall_after=0.1))
        sending = hass.async_create_task(notify(hass, "notify.alice"), eager_start=True)
        await sandbox.wait_for(lambda platform: platform.messages)
        sending.cancel()
        await hass.async_block_till_done()
        state = hass.states.get("sensor.home_messages_sent")
        assert state is not None
        assert state.state == "1"

    async def test_unloading_waits_for_running_sends(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        sandbox.platform.faults.next(Fault(stall_after=0.1))
        sending = hass.async_create_task(notify(hass, "notify.alice"), eager_start=True)
        await sandbox.wait_for(lambda platform: platform.messages)
        assert await hass.config_entries.async_unload(entry.entry_id)
        await sending


async def test_callers_are_cancelled_with_the_shared_request(hass: HomeAssistant) -> None:
    begun = asyncio.Event()

    class Client:
        async def send(self, *_: object) -> list[SendResult]:
            begun.set()
            return await asyncio.Event().wait()  # type: ignore[return-value]

    batcher = SendBatcher(hass, Client())  # type: ignore[arg-type]
    waiting = hass.async_create_task(batcher.send(ALICE, "x", None, SendContext()), eager_start=True)
    await begun.wait()
    for task in batcher._tasks:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await batcher.aclose()


@pytest.mark.usefixtures("entry")
class TestErrors:
    """A failed message always raises an error."""

    async def test_title_is_put_above_the_text(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await notify(hass, "notify.alice", message="22:41", title="后门打开")
        assert [message.text for message in sandbox.platform.messages] == ["【某某科技】后门打开\n22:41"]

    async def test_each_entity_raises_its_own_error(self, hass: HomeAssistant) -> None:
        with pytest.raises(HomeAssistantError) as caught:
            await notify(hass, "notify.alice", "notify.bob", message="发票")
        assert caught.value.translation_key == "outcome_refused"

    async def test_unknown_outcome_is_an_error(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        sandbox.platform.faults.next("half")
        with pytest.raises(HomeAssistantError) as caught:
            await notify(hass, "notify.alice")
        assert caught.value.translation_key == "outcome_unknown"
        assert len(sandbox.platform.messages) == 1

    async def test_invalid_text_is_rejected(self, hass: HomeAssistant) -> None:
        await refuse_long_texts(hass)
        with pytest.raises(ServiceValidationError, match="500"):
            await notify(hass, "notify.alice", message="长" * 500)

    async def test_internal_error_reaches_all_callers(
        self, hass: HomeAssistant, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("a fault")

        monkeypatch.setattr(entry.runtime_data.client, "send", broken)
        with pytest.raises(RuntimeError, match="a fault"):
            await notify(hass, "notify.alice", "notify.bob")


async def test_entity_of_an_unloaded_account_does_not_drop_a_message_silently(
    hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry], set_up: Any
) -> None:
    entry = make_entry()
    await set_up(entry)
    await hass.config_entries.async_unload(entry.entry_id)
    with pytest.raises(ServiceValidationError, match="is not loaded"):
        await hass.services.async_call(
            "sms1680", "send_message", {"entity_id": "notify.alice", "message": "x"}, blocking=True
        )
