"""The dialogs of an account: it is checked before saving, and each error is distinct and recoverable."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from homeassistant.config_entries import SOURCE_USER, ConfigEntry, ConfigEntryState, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680 import const
from custom_components.sms1680.client.errors import InvalidSettingError
from sms1680.sandbox import Config, Sandbox
from tests.home_assistant.helpers import PASSWORD, MakeEntry, enter, letter_in_form, notify

MD5 = hashlib.md5(PASSWORD.encode()).hexdigest()


@pytest.fixture
def given(sandbox: Sandbox) -> dict[str, Any]:
    """Valid input."""
    return {
        "username": "homeuser",
        "password": PASSWORD,
        "product_id": "61341",
        "gateway": sandbox.url,
        "signature": "某某科技",
    }


async def start(hass: HomeAssistant) -> ConfigFlowResult:
    result = await hass.config_entries.flow.async_init("sms1680", context={"source": SOURCE_USER})
    assert (result["type"], result["step_id"]) == (FlowResultType.MENU, "user")
    result = await hass.config_entries.flow.async_configure(result["flow_id"], {"next_step_id": "http"})
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "http")
    return result


async def test_successful_check_creates_the_entry(hass: HomeAssistant, given: dict[str, Any], sandbox: Sandbox) -> None:
    result = await enter(hass, await start(hass), given)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["title"] == "SMS 1680 61341"
    entry = result["result"]
    assert entry.state is ConfigEntryState.LOADED
    assert entry.data["http"] == {
        "username": "homeuser",
        "password_md5": MD5,
        "product_id": "61341",
        "gateway": sandbox.url,
    }
    assert entry.options == {"signature": "某某科技"}
    assert len(entry.data["webhook_id"]) >= 32
    assert len(entry.data["push_secret"]) >= 32
    assert PASSWORD not in str(entry.as_dict())
    assert not sandbox.platform.messages


async def test_account_without_signature_has_no_options(hass: HomeAssistant, given: dict[str, Any]) -> None:
    del given["signature"]
    result = await enter(hass, await start(hass), given)
    assert (result["title"], result["result"].options) == ("SMS 1680 61341", {})


async def test_letter_is_shown_after_saving(hass: HomeAssistant, given: dict[str, Any]) -> None:
    await hass.config.async_update(external_url="https://home.example.com:8443")
    result = await enter(hass, await start(hass), given)
    assert result["description"] == "letter"
    letter = result["description_placeholders"]["letter"]
    secret = result["result"].data["push_secret"]
    assert f"https://home.example.com:8443/api/sms1680/{secret}/1680/mr" in letter
    assert f"https://home.example.com:8443/api/sms1680/{secret}/1680/mo" in letter
    assert PASSWORD not in letter
    assert MD5 not in letter


@pytest.mark.parametrize(
    "address",
    [None, "http://192.168.1.2:8123", "http://homeassistant.local:8123", "http://homeassistant", "http://127.0.0.1"],
)
async def test_unreachable_address_is_marked(hass: HomeAssistant, given: dict[str, Any], address: str | None) -> None:
    if address:
        await hass.config.async_update(external_url=address, internal_url=address)
    result = await enter(hass, await start(hass), given)
    assert result["description"] == "letter_unreachable"
    assert "/mr" in result["description_placeholders"]["letter"]


async def test_letter_and_recipient_form_follow_the_new_account(hass: HomeAssistant, given: dict[str, Any]) -> None:
    result = await enter(hass, await start(hass), given)
    if "next_flow" not in result:
        assert not hasattr(ConfigEntry, "get_subentries_of_type"), "2026.6 and later can open it"
        return
    kind, flow_id = result["next_flow"]
    assert kind == "config_subentries_flow"
    manager = hass.config_entries.subentries
    dialog = await manager.async_configure(flow_id)
    assert dialog["step_id"] == result["description"] == "letter_unreachable"
    assert letter_in_form(dialog) == result["description_placeholders"]["letter"]
    dialog = await manager.async_configure(flow_id, {"letter": "the text of the field"})
    assert (dialog["type"], dialog["step_id"]) == (FlowResultType.FORM, "user")
    dialog = await manager.async_configure(flow_id, {"name": "Alice", "number": "13800000001"})
    await hass.async_block_till_done()
    assert (dialog["type"], dialog["description"]) == (FlowResultType.CREATE_ENTRY, None)
    assert hass.states.get("notify.alice")


def of_account(**changes: Any) -> Callable[[Config], Config]:
    def change(config: Config) -> Config:
        return replace(config, accounts=(replace(config.accounts[0], **changes),))

    return change


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"password": "not it"}, {"base": "invalid_auth"}),
        ({"username": "somebody"}, {"base": "invalid_auth"}),
        ({"product_id": "99999"}, {"base": "product"}),
        ({"gateway": "http://127.0.0.1:1"}, {"base": "cannot_connect"}),
        ({"gateway": "ftp://127.0.0.1"}, {"gateway": "invalid_gateway"}),
        ({"gateway": "127.0.0.1"}, {"gateway": "invalid_gateway"}),
        ({"signature": "【】"}, {"signature": "invalid_signature"}),
        ({"username": "  "}, {"username": "empty"}),
        ({"product_id": " "}, {"product_id": "empty"}),
        ({"username": "home\u200buser"}, {"username": "invisible_signs"}),
        ({"username": "\x00"}, {"username": "invisible_signs"}),
        ({"product_id": "6\u202a1341"}, {"product_id": "invisible_signs"}),
        ({"password": MD5}, {"password": "md5_given"}),
        ({"password": ""}, {"password": "empty"}),
    ],
)
async def test_invalid_input_is_reported_and_can_be_corrected(
    hass: HomeAssistant, given: dict[str, Any], wrong: dict[str, Any], error: dict[str, str]
) -> None:
    result = await enter(hass, await start(hass), {**given, **wrong})
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, error)
    assert not hass.config_entries.async_entries("sms1680")
    result = await enter(hass, result, given)
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_foreign_address_is_rejected(hass: HomeAssistant, given: dict[str, Any]) -> None:
    right = given["gateway"]
    result = await enter(hass, await start(hass), {**given, "gateway": f"{right}/nowhere"})
    assert result["errors"] == {"base": "wrong_address"}
    assert (await enter(hass, result, given))["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize(
    ("fault", "error"),
    [("html", "not_understood"), ("error", "not_understood"), ("drop_before", "no_answer"), ("too_fast", "too_fast")],
)
async def test_platform_fault_determines_the_error(
    hass: HomeAssistant, given: dict[str, Any], sandbox: Sandbox, fault: str, error: str
) -> None:
    sandbox.platform.faults.always(fault)
    result = await enter(hass, await start(hass), given)
    assert result["errors"] == {"base": error}
    sandbox.platform.faults.clear()
    assert (await enter(hass, result, given))["type"] is FlowResultType.CREATE_ENTRY


class TestAllowedAddresses:
    """The platform accepts only other addresses."""

    @pytest.fixture
    def sandbox_config(self, sandbox_config: Config) -> Config:
        return of_account(networks=("203.0.113.0/24",))(sandbox_config)

    async def test_network_must_be_authorized(
        self, hass: HomeAssistant, given: dict[str, Any], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = await enter(hass, await start(hass), given)
        assert result["errors"] == {"base": "ip"}
        monkeypatch.setattr(type(sandbox.platform.accounts["homeuser"]), "allows_address", lambda *_: True)
        assert (await enter(hass, result, given))["type"] is FlowResultType.CREATE_ENTRY


class TestBalanceNotPermitted:
    """The account can send but not query its balance."""

    @pytest.fixture
    def sandbox_config(self, sandbox_config: Config) -> Config:
        return of_account(may_query_balance=False)(sandbox_config)

    async def test_account_is_saved_after_a_warning(self, hass: HomeAssistant, given: dict[str, Any]) -> None:
        result = await enter(hass, await start(hass), given)
        assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "unchecked")
        assert not hass.config_entries.async_entries("sms1680")
        result = await enter(hass, result, {})
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert result["result"].state is ConfigEntryState.LOADED

    async def test_account_is_reconfigured_after_a_warning(
        self, hass: HomeAssistant, entry: MockConfigEntry, given: dict[str, Any]
    ) -> None:
        result = await reconfigure(hass, entry)
        del given["signature"]
        result = await enter(hass, result, {**given, "password": "new"})
        assert result["errors"] == {"base": "invalid_auth"}
        result = await enter(hass, result, given)
        assert result["step_id"] == "unchecked"
        assert (await enter(hass, result, {}))["reason"] == "reconfigure_successful"

    async def test_reauthentication_succeeds_after_a_warning(self, hass: HomeAssistant, entry: MockConfigEntry) -> None:
        result = await enter(hass, await entry.start_reauth_flow(hass), {"password": "new"})
        assert result["errors"] == {"base": "invalid_auth"}
        result = await enter(hass, result, {"password": PASSWORD})
        assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "unchecked")
        assert (await enter(hass, result, {}))["reason"] == "reauth_unchecked"
        assert entry.data["http"]["password_md5"] == MD5

    async def test_open_form_aborts_if_another_flow_added_the_account(
        self, hass: HomeAssistant, given: dict[str, Any]
    ) -> None:
        waiting = await enter(hass, await start(hass), given)
        added = await enter(hass, await enter(hass, await start(hass), given), {})
        assert added["type"] is FlowResultType.CREATE_ENTRY
        waiting = await enter(hass, waiting, {})
        assert (waiting["type"], waiting["reason"]) == (FlowResultType.ABORT, "already_configured")
        assert hass.config_entries.async_entries("sms1680") == [added["result"]]

    async def test_open_form_does_not_duplicate_another_account(
        self, hass: HomeAssistant, entry: MockConfigEntry, given: dict[str, Any], make_entry: MakeEntry
    ) -> None:
        del given["signature"]
        other = {**given, "product_id": "other"}
        waiting = await enter(hass, await reconfigure(hass, entry), other)
        assert waiting["step_id"] == "unchecked"
        make_entry(title="Other", http={"product_id": "other"})
        assert (await enter(hass, waiting, {}))["reason"] == "already_configured"
        assert entry.data["http"]["product_id"] == "61341"


async def test_only_one_of_two_concurrent_flows_adds_the_account(hass: HomeAssistant, given: dict[str, Any]) -> None:
    dialogs = [await start(hass), await start(hass)]
    results = await asyncio.gather(*(enter(hass, dialog, given) for dialog in dialogs))
    assert sorted(result["type"] for result in results) == [FlowResultType.ABORT, FlowResultType.CREATE_ENTRY]
    assert [result["reason"] for result in results if "reason" in result] == ["already_configured"]
    assert len(hass.config_entries.async_entries("sms1680")) == 1


async def test_unusable_proxy_is_reported(hass: HomeAssistant, entry: MockConfigEntry, given: dict[str, Any]) -> None:
    del given["signature"]
    hass.config_entries.async_update_entry(entry, options={"proxy": "http://127.0.0.1:1"})
    await hass.async_block_till_done(wait_background_tasks=True)
    result = await enter(hass, await reconfigure(hass, entry), given)
    assert result["errors"] == {"base": "cannot_connect"}
    with patch(
        "custom_components.sms1680.flows.validation.async_make_client", side_effect=InvalidSettingError("no", "no")
    ):
        result = await enter(hass, result, given)
    assert result["errors"] == {"base": "invalid_proxy"}


class TestPlainPasswordForTheBalance:
    """Some platforms accept no MD5 in balance queries."""

    @pytest.fixture
    def sandbox_config(self, sandbox_config: Config) -> Config:
        return of_account(balance_takes_md5=False)(sandbox_config)

    async def test_password_form_field_appears_after_a_refusal(
        self, hass: HomeAssistant, given: dict[str, Any]
    ) -> None:
        result = await start(hass)
        assert "password_form" not in names(result)
        result = await enter(hass, result, given)
        assert result["errors"] == {"base": "invalid_auth"}
        assert "password_form" in names(result)
        result = await enter(hass, result, {**given, "password_form": "plain_for_balance"})
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert result["result"].data["http"]["password"] == PASSWORD
        assert "password_md5" not in result["result"].data["http"]
        assert result["result"].runtime_data.coordinator.data == 1000


class TestPlainPasswordForMessages:
    """Some platforms accept no MD5 in messages."""

    @pytest.fixture
    def sandbox_config(self, sandbox_config: Config) -> Config:
        return of_account(sending_takes_md5=False)(sandbox_config)

    @pytest.mark.parametrize(("form", "for_balance"), [("plain", True), ("plain_for_messages", False)])
    async def test_form_can_be_changed_and_is_kept(
        self,
        hass: HomeAssistant,
        entry: MockConfigEntry,
        sandbox: Sandbox,
        given: dict[str, Any],
        form: str,
        for_balance: bool,
    ) -> None:
        with pytest.raises(HomeAssistantError, match="password is wrong"):
            await notify(hass, "notify.alice")
        await hass.async_block_till_done(wait_background_tasks=True)
        del given["signature"]
        dialog = await reconfigure(hass, entry)
        result = await enter(hass, dialog, {**given, "password_form": form})
        assert result["type"] is FlowResultType.ABORT
        assert (entry.data["http"]["password"], entry.data["http"]["password_form"]) == (PASSWORD, form)
        await notify(hass, "notify.alice")
        assert len(sandbox.platform.messages) == 1
        account = entry.runtime_data.client.failover.http._account
        assert (account.balance_password == PASSWORD) is for_balance
        shown = await reconfigure(hass, entry)
        assert suggested(shown)["password_form"] == form
        await enter(hass, shown, {**given, "password_form": "md5"})
        assert "password" not in entry.data["http"]
        assert "password_form" not in entry.data["http"]


async def test_md5_password_is_accepted(hass: HomeAssistant, given: dict[str, Any]) -> None:
    result = await enter(hass, await start(hass), {**given, "password": MD5})
    assert "password_form" in names(result)
    result = await enter(hass, result, {**given, "password": "too short", "password_form": "given_as_md5"})
    assert result["errors"] == {"password": "md5_expected"}
    result = await enter(
        hass, result, {**given, "password": MD5, "password_form": "given_as_md5", "product_id": "99999"}
    )
    assert result["errors"] == {"base": "product"}
    assert "password_form" in names(result), "what was chosen must not get lost"
    result = await enter(hass, result, {**given, "password": MD5.upper(), "password_form": "given_as_md5"})
    assert result["result"].data["http"]["password_md5"] == MD5


def suggested(result: ConfigFlowResult) -> dict[str, Any]:
    schema = result["data_schema"]
    assert schema is not None
    return {str(name): name.description["suggested_value"] for name in schema.schema if name.description}


def names(result: ConfigFlowResult) -> set[str]:
    schema = result["data_schema"]
    assert schema is not None
    return {str(name) for name in schema.schema}


async def test_password_survives_the_correction_of_another_field(hass: HomeAssistant, given: dict[str, Any]) -> None:
    result = await enter(hass, await start(hass), {**given, "product_id": "99999"})
    assert result["errors"] == {"base": "product"}
    assert suggested(result)["username"] == "homeuser"
    assert suggested(result)["password"] == given["password"]
    result = await enter(hass, result, {**given, "password": ""})
    assert result["errors"] == {"password": "empty"}
    assert "password" not in suggested(result)


@pytest.mark.parametrize("form", ["md5", "plain"])
async def test_stored_password_is_never_shown(hass: HomeAssistant, given: dict[str, Any], form: str) -> None:
    http = {name: given[name] for name in ("username", "product_id", "gateway")}
    secret = {"password_md5": "0" * 32} if form == "md5" else {"password": given["password"]}
    entry = MockConfigEntry(domain=const.DOMAIN, data={"http": http | secret}, unique_id="one")
    entry.add_to_hass(hass)
    menu = await entry.start_reconfigure_flow(hass)
    result = await hass.config_entries.flow.async_configure(menu["flow_id"], {"next_step_id": "reconfigure_http"})
    assert suggested(result)["username"] == "homeuser"
    assert given["password"] not in repr(result["data_schema"])
    assert "password" not in suggested(result)


async def test_brackets_of_the_signature_are_removed(hass: HomeAssistant, given: dict[str, Any]) -> None:
    result = await enter(hass, await start(hass), {**given, "signature": " 【某某科技】"})
    assert (result["type"], result["title"]) == (FlowResultType.CREATE_ENTRY, "SMS 1680 61341")
    assert result["options"]["signature"] == "某某科技"


@pytest.mark.usefixtures("entry")
async def test_duplicate_account_aborts(hass: HomeAssistant, given: dict[str, Any]) -> None:
    result = await enter(hass, await start(hass), {**given, "gateway": f"{given['gateway']}/"})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")


@pytest.mark.usefixtures("entry")
async def test_address_spelling_does_not_matter(
    hass: HomeAssistant, make_entry: MakeEntry, given: dict[str, Any], sandbox: Sandbox
) -> None:
    # An entry of an earlier version, which stored the address as entered.
    make_entry(http={"gateway": sandbox.url.replace("127.0.0.1", "LOCALHOST.")})
    given["gateway"] = sandbox.url.replace("127.0.0.1", "LocalHost")
    result = await enter(hass, await start(hass), given)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")


async def test_second_product_is_another_account(hass: HomeAssistant, given: dict[str, Any], sandbox: Sandbox) -> None:
    sandbox.platform.accounts["homeuser"].balances["other"] = 5
    result = await enter(hass, await start(hass), {**given, "product_id": "other"})
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def reconfigure(hass: HomeAssistant, entry: MockConfigEntry) -> ConfigFlowResult:
    result = await entry.start_reconfigure_flow(hass)
    assert (result["type"], result["step_id"]) == (FlowResultType.MENU, "reconfigure")
    return await hass.config_entries.flow.async_configure(result["flow_id"], {"next_step_id": "reconfigure_http"})


async def test_reconfigure_changes_the_product(
    hass: HomeAssistant, entry: MockConfigEntry, given: dict[str, Any], sandbox: Sandbox
) -> None:
    sandbox.platform.accounts["homeuser"].balances["other"] = 5
    del given["signature"]
    unloaded: list[str] = []
    entry.async_on_unload(lambda: unloaded.append("once"))
    result = await reconfigure(hass, entry)
    result = await enter(hass, result, {**given, "product_id": "nowhere"})
    assert result["errors"] == {"base": "product"}
    result = await enter(hass, result, {**given, "product_id": "other"})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert unloaded == ["once"]
    assert entry.state is ConfigEntryState.LOADED
    assert entry.data["http"]["product_id"] == "other"
    assert entry.unique_id == f"{sandbox.url} homeuser other"
    assert entry.data["webhook_id"] == "webhook-id-of-the-tests"


async def test_reconfigure_into_another_account_aborts(
    hass: HomeAssistant, entry: MockConfigEntry, make_entry: Callable[..., MockConfigEntry], given: dict[str, Any]
) -> None:
    make_entry(title="Other", http={"product_id": "other"})
    del given["signature"]
    result = await enter(hass, await reconfigure(hass, entry), {**given, "product_id": "other"})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")
    assert entry.data["http"]["product_id"] == "61341"


async def test_refused_credentials_start_reauthentication_and_preserve_entities(
    hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry]
) -> None:
    entry = make_entry(http={"password_md5": "0" * 32})
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    (flow,) = hass.config_entries.flow.async_progress_by_handler("sms1680")
    assert (flow["context"]["source"], flow["step_id"]) == ("reauth", "reauth_confirm")
    assert entry.state is ConfigEntryState.LOADED
    state = hass.states.get("notify.alice")
    assert state is not None
    assert state.state != "unavailable"
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {"password": "still wrong"})
    assert result["errors"] == {"base": "invalid_auth"}
    result = await enter(hass, result, {"password": PASSWORD})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reauth_successful")
    assert entry.data["http"]["password_md5"] == MD5
    assert entry.runtime_data.coordinator.data == 1000
    assert er.async_get(hass).async_get("notify.alice")


async def test_reauthentication_with_the_same_password_reloads_once(
    hass: HomeAssistant, entry: MockConfigEntry
) -> None:
    unloaded: list[str] = []
    entry.async_on_unload(lambda: unloaded.append("once"))
    result = await entry.start_reauth_flow(hass)
    result = await enter(hass, result, {"password": PASSWORD})
    assert result["reason"] == "reauth_successful"
    assert unloaded == ["once"]
