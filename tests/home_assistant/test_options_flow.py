"""The options: settings, the letter, new push addresses, and the steps of a test message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from homeassistant.config_entries import ConfigEntryState, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.network import NoURLAvailableError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.events.signals import async_signal
from custom_components.sms1680.flows import self_test
from sms1680.sandbox import Config, Fault, Sandbox
from tests.home_assistant.helpers import ALICE, letter_in_form, notify


async def choose(hass: HomeAssistant, entry: MockConfigEntry, step: str) -> ConfigFlowResult:
    result = await hass.config_entries.options.async_init(entry.entry_id)
    assert (result["type"], result["step_id"]) == (FlowResultType.MENU, "init")
    return await hass.config_entries.options.async_configure(result["flow_id"], {"next_step_id": step})


async def enter(hass: HomeAssistant, result: ConfigFlowResult, given: dict[str, Any] | None = None) -> ConfigFlowResult:
    result = await hass.config_entries.options.async_configure(result["flow_id"], given or {})
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


SENDING = {
    "signature": "另一家",
    "signature_place": "behind",
    "rate": 5.5,
    "packet_size": 50,
    "source_number": "106900001680",
}


class TestSettings:
    """Each group of settings has its own form."""

    async def test_sending_options_are_saved_and_used(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        result = await enter(hass, await choose(hass, entry, "sending"), SENDING)
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert entry.options == SENDING
        assert isinstance(entry.options["packet_size"], int)
        await notify(hass, "notify.alice")
        assert [message.text for message in sandbox.platform.messages] == ["门开了【另一家】"]

    @pytest.mark.parametrize(
        ("wrong", "errors"),
        [
            ({"signature": "【】"}, {"signature": "invalid_signature"}),
            ({"source_number": "+86"}, {"source_number": "invalid_source_number"}),
            ({"proxy": "nonsense"}, {"proxy": "invalid_proxy"}),
            ({"proxy": "socks4://127.0.0.1:1080"}, {"proxy": "invalid_proxy"}),
            ({"proxy": "http://[::1"}, {"proxy": "invalid_proxy"}),
            ({"proxy": "http://127.0.0.1:99999"}, {"proxy": "invalid_proxy"}),
        ],
    )
    async def test_invalid_sending_options_are_rejected(
        self, hass: HomeAssistant, entry: MockConfigEntry, wrong: dict[str, str], errors: dict[str, str]
    ) -> None:
        result = await enter(hass, await choose(hass, entry, "sending"), {**SENDING, **wrong})
        assert (result["type"], result["errors"]) == (FlowResultType.FORM, errors)
        result = await enter(hass, result, SENDING)
        assert result["type"] is FlowResultType.CREATE_ENTRY

    async def test_empty_field_removes_the_option(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        await enter(hass, await choose(hass, entry, "sending"), SENDING)
        await enter(hass, await choose(hass, entry, "sending"), {"signature_place": "front", "packet_size": 100})
        assert entry.options == {"signature_place": "front", "packet_size": 100}

    async def test_single_rows_are_stored_if_turned_off(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        await enter(hass, await choose(hass, entry, "sending"), {**SENDING, "single_rows": False})
        assert entry.options == {**SENDING, "single_rows": False}
        await enter(hass, await choose(hass, entry, "sending"), {**SENDING, "single_rows": True})
        assert entry.options == SENDING

    async def test_receiving_options_are_normalized(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        given = {"push_answer": "ok", "networks": ["203.0.113.7", " 10.1.2.3/8 ", ""], "repeat_window": 0}
        await enter(hass, await choose(hass, entry, "receiving"), given)
        assert entry.options == {
            "signature": "某某科技",
            "push_answer": "ok",
            "networks": ["203.0.113.7/32", "10.0.0.0/8"],
            "repeat_window": 0,
        }

    @pytest.mark.parametrize(
        ("wrong", "errors"),
        [
            ({"networks": ["here"]}, {"networks": "invalid_networks"}),
            ({"push_answer": "x" * 65}, {"push_answer": "invalid_answer"}),
            ({"push_answer": "0\n"}, {"push_answer": "invalid_answer"}),
        ],
    )
    async def test_invalid_receiving_options_are_rejected(
        self, hass: HomeAssistant, entry: MockConfigEntry, wrong: dict[str, Any], errors: dict[str, str]
    ) -> None:
        result = await enter(hass, await choose(hass, entry, "receiving"), wrong)
        assert (result["type"], result["errors"]) == (FlowResultType.FORM, errors)
        assert (await enter(hass, result, {}))["type"] is FlowResultType.CREATE_ENTRY

    async def test_storage_options_are_saved(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        given = {"keep_days": 7, "most_kept": 500, "keep_texts": False, "show_panel": False}
        await enter(hass, await choose(hass, entry, "keeping"), {**given, "keep_days": 7.0})
        assert entry.options == {"signature": "某某科技", **given}
        assert type(entry.options["keep_days"]) is int

    async def test_balance_options_are_applied(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        given = {"price": 0.05, "low_balance": 2000, "balance_interval": 15}
        await enter(hass, await choose(hass, entry, "balance"), given)
        assert entry.options == {"signature": "某某科技", **given}
        state = hass.states.get("binary_sensor.home_low_balance")
        assert state is not None
        assert state.state == "on"
        assert entry.runtime_data.coordinator.update_interval.total_seconds() == 15 * 60

    async def test_proxy_is_used(self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox) -> None:
        # The sandbox answers a proxied request like any other; the platform's name does not resolve.
        hass.config_entries.async_update_entry(
            entry, data={**entry.data, "http": {**entry.data["http"], "gateway": "http://platform.invalid"}}
        )
        await hass.async_block_till_done(wait_background_tasks=True)
        await enter(hass, await choose(hass, entry, "sending"), {**SENDING, "proxy": sandbox.url})
        await notify(hass, "notify.alice")
        assert [message.number for message in sandbox.platform.messages] == [ALICE]


class TestLetter:
    """The letter to the platform's staff, and its addresses."""

    async def test_letter_can_be_shown_again(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        await hass.config.async_update(external_url="https://home.example.com")
        result = await choose(hass, entry, "letter")
        assert result["step_id"] == "letter"
        assert "https://home.example.com/api/sms1680/push-secret-of-the-tests/1680/mr" in letter_in_form(result)
        result = await enter(hass, result)
        assert (result["type"], result["step_id"]) == (FlowResultType.MENU, "init")

    async def test_unreachable_address_is_marked(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        result = await choose(hass, entry, "letter")
        assert result["step_id"] == "letter_unreachable"
        assert (await enter(hass, result))["step_id"] == "init"

    async def test_letter_has_a_placeholder_without_an_address(
        self, hass: HomeAssistant, entry: MockConfigEntry
    ) -> None:
        hass.config.api = None
        result = await choose(hass, entry, "letter")
        assert result["step_id"] == "letter_unreachable"
        assert "（公网地址）/api/sms1680/push-secret-of-the-tests/1680/mr" in letter_in_form(result)

    async def test_letter_contains_the_listener_port(
        self, hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry], unused_tcp_port: int
    ) -> None:
        await hass.config.async_update(external_url="https://home.example.com")
        entry = make_entry(options={"listener_port": unused_tcp_port})
        result = await choose(hass, entry, "letter")
        assert f"http://home.example.com:{unused_tcp_port}/api/sms1680/push-secret" in letter_in_form(result)

    @pytest.mark.parametrize(
        ("external", "step", "begins"),
        [
            (None, "letter_unreachable", "http://（公网地址）:8300/api"),
            ("https://home.example.com", "letter", "http://home.example.com:8300/api"),
        ],
    )
    async def test_letter_with_listener_port_omits_the_cloud_address(
        self,
        hass: HomeAssistant,
        make_entry: Callable[..., MockConfigEntry],
        *,
        external: str | None,
        step: str,
        begins: str,
    ) -> None:
        await hass.config.async_update(external_url=external)
        with (
            patch("homeassistant.helpers.network._get_cloud_url", return_value="https://abc.ui.nabu.casa"),
            patch("homeassistant.helpers.network._get_internal_url", side_effect=NoURLAvailableError),
        ):
            result = await choose(hass, make_entry(options={"listener_port": 8300}), "letter")
            assert result["step_id"] == step
            assert f"\n{begins}" in letter_in_form(result)
            result = await choose(hass, make_entry(http={"product_id": "other"}), "letter")
            assert f"\n{external or 'https://abc.ui.nabu.casa'}/api" in letter_in_form(result)

    @pytest.mark.parametrize(("way", "account"), [("http", "（产品 ID：61341）"), ("cmpp", "（SP_Id：901680）")])
    async def test_letter_names_the_account_and_its_response(
        self, hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry], way: str, account: str
    ) -> None:
        known = make_entry(ways=(way,), options={"push_answer": "ok"}, cmpp={"port": 7890})
        text = letter_in_form(await choose(hass, known, "letter"))
        assert account in text
        assert "我方返回 ok" in text

    async def test_addresses_can_be_renewed(
        self, hass: HomeAssistant, entry: MockConfigEntry, hass_client_no_auth: Any
    ) -> None:
        client = await hass_client_no_auth()
        old = "/api/sms1680/push-secret-of-the-tests/1680/mo?mobile=13800000001&content=1"
        assert (await client.get(old)).status == 200
        result = await choose(hass, entry, "renew_secret")
        assert entry.data["push_secret"] == "push-secret-of-the-tests"
        result = await enter(hass, result)
        assert result["step_id"] == "letter_unreachable"
        assert entry.state is ConfigEntryState.LOADED
        secret = entry.data["push_secret"]
        assert secret in letter_in_form(result)
        assert entry.data["webhook_id"] != "webhook-id-of-the-tests"
        assert (await client.get(old)).status == 404
        assert (await client.get(old.replace("push-secret-of-the-tests", secret))).status == 200


class TestSelfTest:
    """A test message, step by step."""

    @pytest.fixture(autouse=True)
    def _brief(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(self_test, "REPORT_TIMEOUT", 0.5)
        monkeypatch.setattr(self_test, "REPLY_TIMEOUT", 0.5)

    async def run(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, *, report: str | None, reply: bool | str
    ) -> ConfigFlowResult:
        """Run a test with this report and reply."""
        result = await choose(hass, entry, "test")
        assert result["step_id"] == "test"
        result = await hass.config_entries.options.async_configure(result["flow_id"], {"recipient": "alice"})
        if report or reply:
            await sandbox.wait_for(lambda platform: platform.messages)
            common = {"config_entry_id": entry.entry_id, "number": ALICE, "recipient": "Alice", "subentry_id": "alice"}
            update = {
                **common,
                "message_id": sandbox.platform.messages[0].message_id,
                "state": report,
                "settled": True,
                "status": "X",
                "reason": "Not delivered; the platform reported X.",
                "redelivered": False,
            }
            if report:
                async_signal(hass, "sms1680_delivery_report", update)
            if reply:
                message = {**common, "id": "1", "content": "1", "extension": "", "received_at": "", "via": "webhook"}
                other = {**message, "number": "13900000009"}
                for one, again in ((other, False), (message, True), (message, reply == "again")):
                    full = {**one, "incomplete": False, "redelivered": again, "opted_out": False, "command": None}
                    async_signal(hass, "sms1680_message_received", full)
        while result["type"] is FlowResultType.SHOW_PROGRESS:
            await hass.async_block_till_done(wait_background_tasks=True)
            result = await hass.config_entries.options.async_configure(result["flow_id"])
        return result

    @pytest.mark.parametrize(
        ("report", "reply", "step"),
        [
            ("delivered", True, "test_passed"),
            ("delivered", False, "test_no_reply"),
            ("delivered", "again", "test_no_reply"),
            (None, True, "test_no_report"),
            (None, False, "test_nothing"),
            ("failed", False, "test_undelivered"),
        ],
    )
    async def test_result_shows_report_and_reply(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        *,
        report: str | None,
        reply: bool | str,
        step: str,
    ) -> None:
        result = await self.run(hass, entry, sandbox, report=report, reply=reply)
        assert (result["type"], result["step_id"]) == (FlowResultType.FORM, step)
        (message,) = sandbox.platform.messages
        assert message.number == ALICE
        assert "Test from Home Assistant" in message.text
        assert result["description_placeholders"] == {
            "problem": "Not delivered; the platform reported X." if report == "failed" else ""
        }
        assert (await enter(hass, result))["step_id"] == "init"

    @pytest.mark.parametrize(
        ("fault", "problem"),
        [("drop_after", "may have been sent"), ("failed", "refused by the platform")],
    )
    async def test_failed_message_shows_the_problem(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, fault: str, problem: str
    ) -> None:
        sandbox.platform.faults.next(fault)
        result = await self.run(hass, entry, sandbox, report=None, reply=False)
        assert result["step_id"] == "test_failed"
        placeholders = result["description_placeholders"]
        assert placeholders is not None
        assert problem in placeholders["problem"]
        assert (await enter(hass, result))["step_id"] == "init"

    async def test_invalid_message_shows_the_problem(
        self, hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry], set_up: Any, sandbox: Sandbox
    ) -> None:
        recipient: Any = {
            "data": {"number": "not one"},
            "subentry_id": "alice",
            "subentry_type": "recipient",
            "title": "Alice",
            "unique_id": "not one",
        }
        entry = make_entry(recipients=[recipient])
        await set_up(entry)
        result = await self.run(hass, entry, sandbox, report=None, reply=False)
        assert result["step_id"] == "test_failed"

    async def test_closing_the_flow_cancels_the_test(
        self, hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
    ) -> None:
        sandbox.platform.faults.next(Fault(stall_after=0.1))
        result = await choose(hass, entry, "test")
        result = await hass.config_entries.options.async_configure(result["flow_id"], {"recipient": "alice"})
        assert (result["type"], result["progress_action"]) == (FlowResultType.SHOW_PROGRESS, "test_sending")
        await sandbox.wait_for(lambda platform: platform.messages)
        hass.config_entries.options.async_abort(result["flow_id"])
        await hass.async_block_till_done(wait_background_tasks=True)
        assert not hass.config_entries.options.async_progress()
        await entry.runtime_data.client.failover.aclose()
        assert entry.runtime_data.statistics.messages == 1, "a message in flight is still sent and counted"

    async def test_self_test_requires_a_loaded_account_and_a_recipient(
        self, hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry], set_up: Any
    ) -> None:
        entry = make_entry(recipients=[])
        assert (await choose(hass, entry, "test"))["reason"] == "not_loaded"
        await set_up(entry)
        assert (await choose(hass, entry, "test"))["reason"] == "no_recipient"


class TestSelfTestOverTheWire:
    """A test message whose report and reply arrive over the network."""

    @pytest.fixture
    def sandbox_config(self, sandbox_config: Config) -> Config:
        return replace(sandbox_config, cmpp_port=0)

    @pytest.mark.parametrize("way", ["http", "cmpp"])
    async def test_report_and_reply_arrive(
        self,
        hass: HomeAssistant,
        make_entry: Callable[..., MockConfigEntry],
        set_up: Any,
        sandbox: Sandbox,
        *,
        connect: Callable[[], Awaitable[None]],
        until: Callable[[Callable[[], object]], Awaitable[None]],
        way: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(self_test, "REPORT_TIMEOUT", 10)
        monkeypatch.setattr(self_test, "REPLY_TIMEOUT", 10)
        entry = make_entry(ways=(way,))
        await set_up(entry)
        if way == "http":
            await connect()
        else:
            await until(lambda: entry.runtime_data.health.connection.connected)
        result = await choose(hass, entry, "test")
        result = await hass.config_entries.options.async_configure(result["flow_id"], {"recipient": "alice"})
        await sandbox.wait_for(lambda platform: platform.messages)
        sandbox.platform.reply(ALICE, "1")
        while result["type"] is FlowResultType.SHOW_PROGRESS:
            await hass.async_block_till_done(wait_background_tasks=True)
            result = await hass.config_entries.options.async_configure(result["flow_id"])
        assert result["step_id"] == "test_passed"
