"""Delivery policies: fallback, delivery reports, retries, safe texts and refused words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import voluptuous as vol
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, HomeAssistant, ServiceCall
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.helpers import issue_registry as ir
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    MockUser,
    async_capture_events,
    async_mock_service,
)

from custom_components.sms1680 import const
from sms1680.sandbox import Account, Config, Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    WEBHOOK_ID,
    MakeEntry,
    SetUp,
    act,
    cut_off,
    later,
    notify,
    refuse_long_texts,
    send,
    sent,
    use_gateway,
)


@pytest.fixture(autouse=True)
def _fails_at_once(fails_at_once: None) -> None:
    """Fail at once in each test here, before the account is set up."""


FORBIDDEN = "客厅在赌博"
SAFE = "家中有警报，请查看"


async def report(hass: HomeAssistant, client: Any, number: str, message_id: str, status: str) -> None:
    """Push a delivery report as the platform does."""
    address = f"/api/webhook/{WEBHOOK_ID}"
    answer = await client.get(address, params={"mobile": number, "msgid": message_id, "status": status})
    assert answer.status == 200
    await hass.async_block_till_done(wait_background_tasks=True)


class TestFallback:
    """The steps run in order until one of them handles the message."""

    @pytest.mark.usefixtures("gateway_off")
    async def test_fallback_account_sends_to_the_same_number(
        self, hass: HomeAssistant, sandbox: Sandbox, second: MockConfigEntry
    ) -> None:
        alice, bob = await send(
            hass, entity_id=["notify.alice", "notify.bob"], fallback_account=second.entry_id, fallback="notify.bob"
        )
        for message in (alice, bob):
            assert (message["outcome"], message["reason"]) == ("not_sent", "no_connection")
            assert message["fallback"] == [{"to": second.entry_id, "outcome": "accepted"}]
        assert sent(sandbox) == [(ALICE, "门开了"), (BOB, "门开了")]
        assert sandbox.platform.counts()["verdict_accepted"] == 1  # both in one request

    @pytest.mark.usefixtures("gateway_off")
    async def test_entities_then_actions_run_in_order(self, hass: HomeAssistant) -> None:
        calls = async_mock_service(hass, "script", "siren")
        (alice,) = await send(
            hass,
            entity_id="notify.alice",
            fallback=["notify.alice", "notify.bob"],
            fallback_actions=[
                {"action": "script.siren", "data_template": {"text": "{{ '{{ message }}' }}"}},
            ],
        )
        assert alice["fallback"] == [
            {"to": "notify.alice", "outcome": "failed"},
            {"to": "notify.bob", "outcome": "not_sent"},
            {"to": "actions", "outcome": "done"},
        ]
        assert len(calls) == 1

    @pytest.mark.usefixtures("gateway_off")
    async def test_shared_fallback_runs_once(self, hass: HomeAssistant) -> None:
        calls: list[ServiceCall] = []
        hass.states.async_set("notify.phone", "unknown")
        hass.services.async_remove("notify", "send_message")

        async def take(call: ServiceCall) -> None:
            calls.append(call)

        hass.services.async_register("notify", "send_message", take)
        messages = await send(hass, entity_id=["notify.alice", "notify.bob"], fallback="notify.phone")
        assert [call.data["message"] for call in calls] == ["门开了"]
        assert [message["fallback"] for message in messages] == [[{"to": "notify.phone", "outcome": "done"}]] * 2

    @pytest.mark.usefixtures("gateway_off")
    async def test_unavailable_step_is_reported(self, hass: HomeAssistant, second: MockConfigEntry) -> None:
        hass.states.async_set("notify.phone", "unavailable")
        (alice,) = await send(hass, entity_id="notify.alice", fallback="notify.phone")
        assert alice["fallback"] == [{"to": "notify.phone", "outcome": "unavailable"}]
        await hass.config_entries.async_unload(second.entry_id)
        (alice,) = await send(hass, entity_id="notify.alice", fallback_account=second.entry_id)
        assert alice["fallback"] == [{"to": second.entry_id, "outcome": "unavailable"}]

    @pytest.mark.parametrize(("preset", "outcome"), [("no_balance", "refused"), ("review", "held")])
    async def test_refused_and_held_messages_run_fallback_at_once(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox, preset: str, outcome: str
    ) -> None:
        text = "门开了"
        if preset == "review":
            sandbox.platform.review_words = ["门开了"]
        else:
            sandbox.platform.accounts["homeuser"].balances["61341"] = 0
        (alice,) = await send(hass, entity_id="notify.alice", message=text, fallback_account=second.entry_id)
        assert alice["outcome"] == outcome
        assert [step["to"] for step in alice["fallback"]] == [second.entry_id]

    async def test_unknown_outcome_runs_fallback_only_if_duplicates_are_allowed(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        data = {"entity_id": "notify.alice", "fallback_account": second.entry_id}
        for allowed in ({}, {"priority": "critical", "repeat": False}, {"report_within": "00:02:00"}):
            cut_off(sandbox)
            (alice,) = await send(hass, **data, **allowed)
            assert (alice["outcome"], alice["fallback"]) == ("unknown", [])
        cut_off(sandbox)
        (alice,) = await send(hass, **data, priority="critical", report_within="00:02:00", repeat=False)
        assert alice["fallback"] == [{"to": second.entry_id, "outcome": "accepted"}]
        assert sent(sandbox)[-1] == (ALICE, "(May be a repeat) 门开了")

    @pytest.mark.usefixtures("gateway_off")
    async def test_fallback_from_the_recipient_settings(
        self, hass: HomeAssistant, entry: MockConfigEntry, second: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        """The entity runs the fallback too, and raises no error if the fallback handles the message."""
        alice = entry.subentries["alice"]
        hass.config_entries.async_update_subentry(
            entry, alice, data={**alice.data, const.CONF_FALLBACK_ACCOUNT: second.entry_id}
        )
        await hass.async_block_till_done()
        message = {"entity_id": "notify.alice", "message": "门开了"}
        await hass.services.async_call("notify", "send_message", message, blocking=True)
        assert sent(sandbox) == [(ALICE, "门开了")]
        with pytest.raises(HomeAssistantError):
            await hass.services.async_call(
                "notify", "send_message", {**message, "entity_id": "notify.bob"}, blocking=True
            )

    @pytest.mark.usefixtures("entry")
    async def test_missing_fallback_is_rejected_before_sending(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        for wrong in ({"fallback": "notify.nobody"}, {"fallback_account": "none"}):
            with pytest.raises(ServiceValidationError):
                await send(hass, entity_id="notify.alice", **wrong)
        with pytest.raises(vol.Invalid):
            await send(hass, entity_id="notify.alice", fallback_actions=[{"nonsense": 1}])
        assert sent(sandbox) == []

    async def test_fallback_requires_permission(
        self, hass: HomeAssistant, second: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        user = MockUser().add_to_hass(hass)
        user.mock_policy({"entities": {"entity_ids": {"notify.alice": True}}})
        given = {"entity_id": "notify.alice", "message": "门开了"}
        context = Context(user_id=user.id)
        await hass.services.async_call("sms1680", "send_message", given, blocking=True, context=context)
        for more in ({"fallback": ["notify.bob"]}, {"fallback_account": second.entry_id}):
            with pytest.raises(Unauthorized):
                await hass.services.async_call(
                    "sms1680", "send_message", {**given, **more}, blocking=True, context=context
                )
        assert len(sent(sandbox)) == 1


class TestReportWithin:
    """A critical message without a report of its delivery runs its fallback in the background, also after restarts."""

    @pytest.fixture
    def sandbox_config(self) -> Config:
        home = Account("homeuser", "s3cret-Passw0rd", products={"61341": 1000})
        return Config(accounts=(home,), report_delay=3600.0)

    async def _alarm(self, hass: HomeAssistant) -> str:
        (alice,) = await send(
            hass, entity_id="notify.alice", priority="critical", fallback="notify.bob", report_within="00:02:00"
        )
        assert (alice["outcome"], alice["fallback"]) == ("accepted", [])
        return str(alice["message_id"])

    @pytest.mark.usefixtures("entry")
    async def test_missing_report_runs_fallback(
        self, hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await self._alarm(hass)
        await later(hass, freezer, seconds=119)
        assert sent(sandbox) == [(ALICE, "门开了")]
        await later(hass, freezer, seconds=2)
        assert sent(sandbox) == [(ALICE, "门开了"), (BOB, "(May be a repeat) 门开了"), (ALICE, "（重发）门开了")]
        await later(hass, freezer, hours=1)
        assert len(sent(sandbox)) == 3

    @pytest.mark.usefixtures("entry")
    async def test_failed_report_runs_fallback_at_once(
        self, hass: HomeAssistant, sandbox: Sandbox, hass_client_no_auth: Any, freezer: FrozenDateTimeFactory
    ) -> None:
        client = await hass_client_no_auth()
        await report(hass, client, ALICE, await self._alarm(hass), "UNDELIV")
        assert sent(sandbox) == [(ALICE, "门开了"), (BOB, "(May be a repeat) 门开了"), (ALICE, "（重发）门开了")]
        await later(hass, freezer, minutes=5)
        assert len(sent(sandbox)) == 3

    @pytest.mark.usefixtures("entry")
    async def test_delivered_report_cancels_fallback(
        self, hass: HomeAssistant, sandbox: Sandbox, hass_client_no_auth: Any, freezer: FrozenDateTimeFactory
    ) -> None:
        client = await hass_client_no_auth()
        await report(hass, client, ALICE, await self._alarm(hass), "DELIVRD")
        await later(hass, freezer, minutes=5)
        assert sent(sandbox) == [(ALICE, "门开了")]

    async def test_report_is_awaited_across_a_restart(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await self._alarm(hass)
        await hass.config_entries.async_reload(entry.entry_id)
        await later(hass, freezer, minutes=3)
        assert sent(sandbox) == [(ALICE, "门开了"), (BOB, "(May be a repeat) 门开了"), (ALICE, "（重发）门开了")]

    @pytest.mark.usefixtures("entry")
    async def test_normal_message_does_not_await_its_report(
        self, hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await send(hass, entity_id="notify.alice", fallback="notify.bob", report_within="00:02:00")
        await later(hass, freezer, minutes=3)
        assert sent(sandbox) == [(ALICE, "门开了")]


class TestKeepTrying:
    """A message that was certainly not sent is queued and retried."""

    @pytest.mark.usefixtures("gateway_off")
    async def test_message_is_sent_when_the_gateway_is_back_also_after_a_restart(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        events = async_capture_events(hass, const.EVENT_DELAYED_MESSAGE)
        began = dt_util.utcnow()
        (alice,) = await send(hass, entity_id="notify.alice", keep_trying="06:00:00")
        assert (alice["outcome"], alice["reason"]) == ("not_sent", "no_connection")
        assert datetime.fromisoformat(alice["trying_until"]) - began < timedelta(hours=6, seconds=10)
        for minutes in (1, 3, 6):
            await later(hass, freezer, minutes=minutes)
        assert (sent(sandbox), events) == ([], [])
        # A changed gateway reloads the account, which loads the queued message from the store.
        await use_gateway(hass, entry, sandbox.url)
        await later(hass, freezer, minutes=6)
        assert sent(sandbox) == [(ALICE, "门开了")]
        assert [event.data["outcome"] for event in events] == ["accepted"]
        await later(hass, freezer, hours=12)
        assert len(sent(sandbox)) == 1

    @pytest.mark.usefixtures("gateway_off")
    async def test_final_failure_fires_event_and_creates_repair(
        self, hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory
    ) -> None:
        events = async_capture_events(hass, const.EVENT_DELAYED_MESSAGE)
        await send(hass, entity_id="notify.alice", keep_trying="00:02:00")
        for _ in range(4):
            await later(hass, freezer, minutes=1)
        assert [(event.data["outcome"], event.data["reason"]) for event in events] == [("not_sent", "no_connection")]
        (issue,) = [one for key, one in ir.async_get(hass).issues.items() if "delayed_lost" in key[1]]
        assert issue.issue_id.startswith(f"delayed_lost_{entry.entry_id}_")
        assert issue.translation_key == "delayed_lost"
        assert issue.is_persistent
        assert ALICE not in str(issue.translation_placeholders)

    @pytest.mark.usefixtures("entry")
    async def test_unknown_outcome_is_never_retried(
        self, hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        cut_off(sandbox)
        (alice,) = await send(hass, entity_id="notify.alice", keep_trying="06:00:00")
        assert (alice["outcome"], alice["trying_until"]) == ("unknown", None)
        await later(hass, freezer, hours=1)
        assert len(sent(sandbox)) == 1

    @pytest.mark.usefixtures("gateway_off")
    async def test_attempt_with_unknown_outcome_is_the_last(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        events = async_capture_events(hass, const.EVENT_DELAYED_MESSAGE)
        await send(hass, entity_id="notify.alice", keep_trying="06:00:00")
        await use_gateway(hass, entry, sandbox.url)
        cut_off(sandbox)
        await later(hass, freezer, minutes=1)
        assert [event.data["outcome"] for event in events] == ["unknown"]
        (issue,) = [one for key, one in ir.async_get(hass).issues.items() if "delayed_lost" in key[1]]
        assert issue.translation_key == "delayed_uncertain"
        assert issue.translation_placeholders == {
            "account": "Home",
            "who": "Alice",
            "problem": "The platform did not respond. Ask the recipient before you repeat it.",
        }
        await later(hass, freezer, hours=1)
        assert len(sent(sandbox)) == 1

    @pytest.mark.usefixtures("gateway_off")
    async def test_attempt_interrupted_by_a_kill_is_reported_and_not_repeated(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        events = async_capture_events(hass, const.EVENT_DELAYED_MESSAGE)
        await send(hass, entity_id="notify.alice", keep_trying="06:00:00")
        queue = entry.runtime_data.deferred
        ((row, stored),) = queue._schedule.messages.items()
        saving = queue._storage._store.save_deferred(
            entry.entry_id, ALICE, stored.due, stored.message.as_json(), row=row, going=True
        )
        assert saving.result(10) == row
        await use_gateway(hass, entry, sandbox.url)
        assert [event.data["outcome"] for event in events] == ["unknown"]
        await later(hass, freezer, hours=1)
        assert sent(sandbox) == []

    @pytest.mark.usefixtures("gateway_off")
    async def test_retries_continue_beside_a_fallback_unless_the_phone_has_the_message(
        self, hass: HomeAssistant, second: MockConfigEntry
    ) -> None:
        hass.states.async_set("notify.phone", "unknown")
        calls = async_mock_service(hass, "script", "siren")
        actions = [{"action": "script.siren"}]
        (alice,) = await send(hass, entity_id="notify.alice", keep_trying="01:00:00", fallback_actions=actions)
        assert alice["trying_until"] is not None
        assert len(calls) == 1
        (alice,) = await send(hass, entity_id="notify.alice", keep_trying="01:00:00", fallback_account=second.entry_id)
        assert alice["trying_until"] is None


class TestSafeText:
    """The safe text replaces refused words, which are remembered."""

    @pytest.mark.usefixtures("entry")
    async def test_safe_text_of_the_call(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        alice, bob = await send(hass, entity_id=["notify.alice", "notify.bob"], message=FORBIDDEN, safe_text=SAFE)
        assert [(message["outcome"], message["safe_text"]) for message in (alice, bob)] == [("accepted", True)] * 2
        assert sent(sandbox) == [(ALICE, SAFE), (BOB, SAFE)]
        (alice,) = await send(hass, entity_id="notify.alice", safe_text=SAFE)
        assert alice["safe_text"] is False

    async def test_safe_text_of_the_account_also_for_the_entity(
        self, hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox
    ) -> None:
        await set_up(make_entry(options={const.CONF_SAFE_TEXT: SAFE}))
        await notify(hass, "notify.alice", message=FORBIDDEN)
        assert sent(sandbox) == [(ALICE, SAFE)]

    @pytest.mark.usefixtures("entry")
    async def test_safe_text_can_be_refused_too(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        (alice,) = await send(hass, entity_id="notify.alice", message=FORBIDDEN, safe_text="也有赌博")
        assert (alice["outcome"], alice["reason"], alice["safe_text"]) == ("refused", "forbidden_words", True)
        await refuse_long_texts(hass)
        with pytest.raises(ServiceValidationError):
            await send(hass, entity_id="notify.alice", message=FORBIDDEN, safe_text="长" * 600)
        assert sent(sandbox) == []

    async def test_estimate_warns_of_refused_words_also_after_a_restart(
        self, hass: HomeAssistant, entry: MockConfigEntry, freezer: FrozenDateTimeFactory
    ) -> None:
        async def warnings(text: str) -> str:
            given = {"message": text}
            answer = await act(hass, "estimate", **given)
            assert isinstance(answer, dict)
            return str(answer["warnings"])

        assert "refused" not in await warnings("不要赌博")
        await send(hass, entity_id="notify.alice", message=FORBIDDEN)
        assert "this was refused before: “赌博”" in await warnings("不要赌博")
        await later(hass, freezer, seconds=11)
        await hass.config_entries.async_reload(entry.entry_id)
        await hass.async_block_till_done(wait_background_tasks=True)
        assert "赌博" in await warnings("不要赌博")


@pytest.mark.usefixtures("entry")
async def test_only_words_of_the_text_are_learned(entry: MockConfigEntry) -> None:
    words = entry.runtime_data.refused_words
    words.learn("Result 12", "门开了")
    words.learn(None, "门开了")
    assert words.words == []
    for number in range(300):
        words.learn(f"词{number}", f"这是词{number}啊")
    assert len(words.words) == 200
    assert words.words[-1] == "词299"


@pytest.mark.usefixtures("gateway_off")
async def test_diagnostics_count_queued_messages_without_content(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client: Any
) -> None:
    alice = entry.subentries["alice"]
    settings = {const.CONF_FALLBACK: ["notify.bob"], const.CONF_FALLBACK_ACTIONS: [{"action": "script.wake_anna"}]}
    hass.config_entries.async_update_subentry(entry, alice, data={**alice.data, **settings})
    await send(hass, number="13900000009", keep_trying="01:00:00")
    entry.runtime_data.refused_words.learn("赌博", FORBIDDEN)
    assert await async_setup_component(hass, "diagnostics", {})
    response = await (await hass_client()).get(f"/api/diagnostics/config_entry/{entry.entry_id}")
    diagnostics = await response.json()
    assert diagnostics["data"]["later"] == {"waiting": 1}
    assert (diagnostics["data"]["refused_words"], diagnostics["data"]["limits_reached"]) == (1, [])
    for secret in ("13900000009", "notify.bob", "wake_anna", "赌博", "门开了"):
        assert secret not in str(diagnostics["data"])
