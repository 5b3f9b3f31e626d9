"""The proxy of an account, for a platform that authorizes only the fixed address of the proxy."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from homeassistant.config_entries import SOURCE_USER, ConfigEntryState, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.requirements import RequirementsNotFound
from pytest_homeassistant_custom_component.common import MockConfigEntry
from support.tunnel_proxy import OWN_ADDRESS, Proxy

from custom_components.sms1680.account import clients
from sms1680.sandbox import Config, Sandbox
from tests.home_assistant.helpers import BOTH, PASSWORD, MakeEntry, SetUp, Until, enter, send_to_alice

SOCKS = "socks5://me:s3cret@127.0.0.1:1080"


@pytest.fixture
def sandbox_config(sandbox_config: Config) -> Config:
    """A platform that authorizes only the address of the proxy."""
    home, *others = sandbox_config.accounts
    return replace(sandbox_config, accounts=(replace(home, networks=(OWN_ADDRESS,)), *others))


@pytest.fixture
async def http_proxy(sandbox: Sandbox) -> AsyncIterator[Proxy]:
    """A proxy of the platform's HTTP port."""
    proxy = await Proxy(int(sandbox.url.rpartition(":")[2]), OWN_ADDRESS).start()
    yield proxy
    await proxy.stop()


@pytest.fixture
async def cmpp_proxy(sandbox: Sandbox) -> AsyncIterator[Proxy]:
    """A proxy of the platform's CMPP port."""
    proxy = await Proxy(sandbox.cmpp.port, OWN_ADDRESS).start()
    yield proxy
    await proxy.stop()


@pytest.fixture
def given(sandbox: Sandbox) -> dict[str, Any]:
    """Valid input over CMPP."""
    login = {"sp_id": "901680", "password": PASSWORD, "source_number": "106900001680"}
    return {"host": "127.0.0.1", "port": sandbox.cmpp.port, **login}


async def start(hass: HomeAssistant, transport: str) -> ConfigFlowResult:
    result = await hass.config_entries.flow.async_init("sms1680", context={"source": SOURCE_USER})
    return await hass.config_entries.flow.async_configure(result["flow_id"], {"next_step_id": transport})


def asks_for_proxy(result: ConfigFlowResult) -> bool:
    schema = result["data_schema"]
    assert schema is not None
    return "proxy" in map(str, schema.schema)


async def test_http_account_is_added_through_a_proxy(hass: HomeAssistant, sandbox: Sandbox, http_proxy: Proxy) -> None:
    account = {"username": "homeuser", "password": PASSWORD, "product_id": "61341", "gateway": sandbox.url}
    result = await start(hass, "http")
    assert not asks_for_proxy(result)
    result = await enter(hass, result, account)
    assert result["errors"] == {"base": "ip"}
    assert asks_for_proxy(result)
    result = await enter(hass, result, {**account, "proxy": "nonsense"})
    assert result["errors"] == {"proxy": "invalid_proxy"}
    assert asks_for_proxy(result)
    result = await enter(hass, result, {**account, "proxy": http_proxy.address})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["result"].options == {"proxy": http_proxy.address}
    assert http_proxy.requests


async def test_cmpp_account_is_added_and_sends_through_a_proxy(
    hass: HomeAssistant, given: dict[str, Any], cmpp_proxy: Proxy, until: Until
) -> None:
    result = await enter(hass, await start(hass, "cmpp"), given)
    assert result["errors"] == {"base": "cmpp_ip"}
    assert asks_for_proxy(result)
    result = await enter(hass, result, {**given, "proxy": SOCKS})
    assert result["errors"] == {"proxy": "socks_over_cmpp"}
    result = await enter(hass, result, {**given, "proxy": cmpp_proxy.address})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    entry = result["result"]
    assert entry.options == {"proxy": cmpp_proxy.address}
    await until(lambda: entry.runtime_data.health.connection.connected)
    assert all(request.startswith(b"CONNECT 127.0.0.1:") for request in cmpp_proxy.requests)


async def test_http_step_after_cmpp_keeps_the_proxy(
    hass: HomeAssistant, sandbox: Sandbox, given: dict[str, Any], cmpp_proxy: Proxy, http_proxy: Proxy
) -> None:
    result = await enter(hass, await start(hass, "cmpp"), given)
    through = {**given, "proxy": cmpp_proxy.address, "add_http": True, "signature": "某某科技"}
    result = await enter(hass, result, through)
    assert result["step_id"] == "http"
    account = {"username": "homeuser", "password": PASSWORD, "product_id": "61341", "gateway": sandbox.url}
    result = await enter(hass, result, account)
    assert result["errors"]  # this proxy leads to the CMPP port only
    result = await enter(hass, result, {**account, "proxy": http_proxy.address})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert result["result"].options == {"signature": "某某科技", "proxy": http_proxy.address}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 407 x\r\n\r\n", "proxy_credentials"),
        (b"HTTP/1.1 403 x\r\n\r\n", "proxy_forbidden"),
        (b"HTTP/1.1 503 x\r\n\r\n", "proxy_no_gateway"),
        (b"220 mail\r\n", "proxy_not_understood"),
        (None, "proxy_no_answer"),
    ],
)
async def test_problem_of_the_proxy_is_shown(
    hass: HomeAssistant, given: dict[str, Any], cmpp_proxy: Proxy, *, answer: bytes | None, error: str
) -> None:
    cmpp_proxy.answer = [answer] if answer else []
    cmpp_proxy.hang_up = answer is None
    result = await enter(hass, await start(hass, "cmpp"), given)
    result = await enter(hass, result, {**given, "proxy": cmpp_proxy.address})
    assert result["errors"] == {"base": error}
    assert asks_for_proxy(result)
    result = await enter(hass, result, {**given, "proxy": "http://127.0.0.1:1"})
    assert result["errors"] == {"base": "proxy_unreachable"}


async def test_messages_over_cmpp_go_through_the_proxy(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    sandbox: Sandbox,
    *,
    cmpp_proxy: Proxy,
    until: Until,
) -> None:
    entry = make_entry(ways=("cmpp",), options={"proxy": cmpp_proxy.address})
    await set_up(entry)
    await until(lambda: entry.runtime_data.health.connection.connected)
    assert (await send_to_alice(hass))["outcome"] == "accepted"
    assert len(sandbox.platform.messages) == 1


async def test_socks_proxy_is_refused_for_both_transports(hass: HomeAssistant, make_entry: MakeEntry) -> None:
    entry = make_entry(ways=BOTH)
    result = await hass.config_entries.options.async_init(entry.entry_id)
    result = await hass.config_entries.options.async_configure(result["flow_id"], {"next_step_id": "sending"})
    result = await hass.config_entries.options.async_configure(result["flow_id"], {"proxy": SOCKS})
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, {"proxy": "socks_over_cmpp"})


async def test_missing_package_for_socks_is_named(hass: HomeAssistant, make_entry: MakeEntry) -> None:
    entry = make_entry()
    result = await hass.config_entries.options.async_init(entry.entry_id)
    result = await hass.config_entries.options.async_configure(result["flow_id"], {"next_step_id": "sending"})
    missing = RequirementsNotFound("sms1680", ["socksio"])
    with (
        patch.object(clients, "find_spec", return_value=None),
        patch.object(clients, "async_process_requirements", side_effect=missing) as install,
    ):
        result = await hass.config_entries.options.async_configure(result["flow_id"], {"proxy": SOCKS})
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, {"proxy": "no_socks"})
    assert install.await_args.args == (hass, "sms1680", ["socksio>=1.0.0,<2"])


async def test_socks_proxy_is_saved_if_its_package_is_installed(hass: HomeAssistant, make_entry: MakeEntry) -> None:
    entry = make_entry()
    result = await hass.config_entries.options.async_init(entry.entry_id)
    result = await hass.config_entries.options.async_configure(result["flow_id"], {"next_step_id": "sending"})
    with patch.object(clients, "find_spec", return_value=object()):
        result = await hass.config_entries.options.async_configure(result["flow_id"], {"proxy": SOCKS})
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert entry.options["proxy"] == SOCKS


async def test_account_whose_package_for_socks_is_gone_is_set_up_again_later(
    hass: HomeAssistant, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    entry: MockConfigEntry = make_entry(options={"proxy": SOCKS})
    missing = RequirementsNotFound("sms1680", ["socksio"])
    with (
        patch.object(clients, "find_spec", return_value=None),
        patch.object(clients, "async_process_requirements", side_effect=missing),
    ):
        assert not await hass.config_entries.async_setup(entry.entry_id)
        await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.reason is not None
    assert "socksio" in entry.reason
    assert "s3cret" not in caplog.text + entry.reason
