"""The option for a server that several machines share, without and with a real Valkey or Redis server."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from homeassistant.config_entries import ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.requirements import RequirementsNotFound
from pytest_homeassistant_custom_component.common import MockConfigEntry
from support.shared_server import MISSING, PASSWORD, SharedServerProcess, be_patient

from custom_components.sms1680.account import clients
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import MakeEntry, SetUp, notify

ADDRESS = f"redis://:{PASSWORD}@127.0.0.1:1/0"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedServerProcess]:
    be_patient(monkeypatch.setattr, "custom_components.sms1680.client")
    process = SharedServerProcess(tmp_path / "server").start()
    yield process
    process.kill()


async def enter(hass: HomeAssistant, entry: MockConfigEntry, address: str) -> ConfigFlowResult:
    result = await hass.config_entries.options.async_init(entry.entry_id)
    result = await hass.config_entries.options.async_configure(result["flow_id"], {"next_step_id": "sending"})
    given = {"shared_state": address}
    result = await hass.config_entries.options.async_configure(result["flow_id"], given)
    await hass.async_block_till_done(wait_background_tasks=True)
    return result


@pytest.mark.parametrize("address", ["http://127.0.0.1", "/config", "redis://host/x", "redis://host?socket_timeout=9"])
async def test_invalid_address_is_rejected(hass: HomeAssistant, entry: MockConfigEntry, address: str) -> None:
    result = await enter(hass, entry, address)
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, {"shared_state": "invalid_shared_state"})


async def test_missing_package_is_named_in_the_dialog(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    missing = RequirementsNotFound("sms1680", ["redis"])
    with (
        patch.object(clients, "find_spec", return_value=None),
        patch.object(clients, "async_process_requirements", side_effect=missing) as install,
    ):
        result = await enter(hass, entry, ADDRESS)
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, {"shared_state": "no_redis"})
    assert install.await_args.args == (hass, "sms1680", ["redis>=5.0.0,<9"])


async def test_package_is_installed_for_the_option(hass: HomeAssistant) -> None:
    with (
        patch.object(clients, "find_spec", side_effect=[None, object()]),
        patch.object(clients, "async_process_requirements") as install,
    ):
        assert await clients.async_has_redis(hass)
    install.assert_awaited_once()


async def test_messages_are_sent_without_the_server(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    entry = make_entry(options={"shared_state": ADDRESS}, ways=("http", "cmpp"))
    await set_up(entry)
    for _ in range(3):
        await notify(hass, "notify.alice")
    assert len(sandbox.platform.messages) == 3
    warnings = [each for each in caplog.records if "cannot be used" in each.getMessage()]
    assert len(warnings) == 1
    assert PASSWORD not in caplog.text
    await unload(hass, entry)


async def unload(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    assert await hass.config_entries.async_unload(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    gc.collect()


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
async def test_home_assistant_shares_its_rate_and_its_spending(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    server: SharedServerProcess,
) -> None:
    result = await enter(hass, entry, server.url)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    assert entry.options["shared_state"] == server.url
    await notify(hass, "notify.alice")
    assert len(sandbox.platform.messages) == 1
    keys = {key.rpartition(b":")[2] for key in server.everything()}
    assert {b"totals", b"hour", b"day"} <= keys
    await notify(hass, "notify.alice")
    with server.client() as client:
        (totals,) = client.keys("*:totals")
        assert client.hget(totals, "hour") == b"2"
    await unload(hass, entry)
