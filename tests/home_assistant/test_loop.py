"""Nothing blocks the event loop: every entry point is used once in debug mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.test_utils import unused_port
from homeassistant import block_async_io
from homeassistant.config_entries import SOURCE_USER
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events, get_system_health_info
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.sms1680 import const
from custom_components.sms1680.store.manager import DATA_STORE
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, WEBHOOK, MakeEntry, SetUp, Until

SLOW = 1.0  # seconds: longer than any step of ours, even on a busy machine with coverage


@pytest.fixture(autouse=True)
def _the_loop_is_watched(
    hass: HomeAssistant,
    disable_block_async_io: None,  # noqa: ARG001 - takes back what is enabled here
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """Check after each test for calls that blocked the loop, and for slow steps of ours."""
    monkeypatch.setattr(block_async_io, "_IN_TESTS", False)
    block_async_io.enable()
    hass.loop.set_debug(True)
    hass.loop.slow_callback_duration = SLOW
    yield
    lines = [record.getMessage() for phase in ("setup", "call") for record in caplog.get_records(phase)]
    # The sandbox runs in the same loop here, and reads its page from the disk.
    assert not [line for line in lines if "Detected blocking call" in line and "/sandbox/page/" not in line]
    assert not [line for line in lines if "Executing" in line and "sms1680" in line and "took" in line]


async def act(hass: HomeAssistant, action: str, *, respond: bool = False, **data: Any) -> Any:
    domain, _, service = action.partition(".")
    return await hass.services.async_call(domain, service, data, blocking=True, return_response=respond)


def test_blocking_call_is_detected(hass: HomeAssistant, caplog: pytest.LogCaptureFixture) -> None:
    async def block() -> None:
        open(__file__).close()  # noqa: ASYNC230, PTH123 - that is the fault

    hass.loop.run_until_complete(block())
    assert "Detected blocking call to open" in caplog.text
    caplog.clear()


@pytest.mark.parametrize("proxied", [False, True])
async def test_sending_and_pushes_do_not_block(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    *,
    sandbox: Sandbox,
    hass_client_no_auth: ClientSessionGenerator,
    proxied: bool,
) -> None:
    unlimited = {"hourly_limit": 0, "daily_limit": 0}
    entry = make_entry(options=unlimited | ({"proxy": sandbox.url} if proxied else {}))
    await set_up(entry)
    await act(hass, "notify.send_message", entity_id=["notify.alice", "notify.bob"], message="x")
    many = [{"number": f"139{serial:08}", "message": "x"} for serial in range(300)]
    await act(hass, "sms1680.send_batch", messages=many)
    await act(hass, "sms1680.get_balance", respond=True)
    client = await hass_client_no_auth()
    assert (await client.get(f"{WEBHOOK}?mobile={ALICE}&content=1")).status == 200
    assert await hass.config_entries.async_unload(entry.entry_id)
    assert len(sandbox.platform.messages) == 302


async def test_cmpp_connection(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, *, sandbox: Sandbox, until: Until
) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    reports = async_capture_events(hass, const.EVENT_DELIVERY_REPORT)
    entry = make_entry(ways=("cmpp",))
    await set_up(entry)
    await until(lambda: entry.runtime_data.health.connection.connected)
    await act(hass, "notify.send_message", entity_id="notify.alice", message="门开了，" * 50)
    sandbox.platform.reply(ALICE, "好的，" * 100, extension="", username="homeuser")
    await until(lambda: messages and reports)
    assert await hass.config_entries.async_unload(entry.entry_id)


async def test_own_port(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    port = unused_port()
    entry = make_entry(options={const.CONF_LISTENER_PORT: port})
    await set_up(entry)
    session = async_get_clientsession(hass)
    async with session.get(f"http://127.0.0.1:{port}{WEBHOOK}?mobile={ALICE}&content=1%0A2") as response:
        assert response.status == 200
    assert await hass.config_entries.async_remove(entry.entry_id)
    await hass.async_block_till_done()
    assert [message.data["content"] for message in messages] == ["1\n2"]


@pytest.mark.usefixtures("entry")
async def test_message_store(hass: HomeAssistant, hass_client_no_auth: ClientSessionGenerator) -> None:
    await act(hass, "notify.send_message", entity_id="notify.alice", message="x")
    client = await hass_client_no_auth()
    assert (await client.get(f"{WEBHOOK}?mobile={ALICE}&content=1")).status == 200
    assert len((await act(hass, "sms1680.get_messages", respond=True))["messages"]) == 2
    await hass.data[DATA_STORE].async_prune()
    await hass.data[DATA_STORE].async_backup(begin=True)
    await hass.data[DATA_STORE].async_backup(begin=False)
    purged = await act(hass, "sms1680.purge_messages", respond=True, until=dt_util.utcnow().isoformat())
    assert purged is not None


@pytest.mark.usefixtures("entry")
async def test_question(hass: HomeAssistant, sandbox: Sandbox, hass_client_no_auth: ClientSessionGenerator) -> None:
    client = await hass_client_no_auth()
    given = {"entity_id": "notify.alice", "question": "关门吗？", "answers": [{"id": "yes"}, {"id": "no"}]}
    asking = hass.async_create_task(act(hass, "sms1680.ask_question", respond=True, **given))
    await sandbox.wait_for(lambda platform: platform.messages)
    assert (await client.get(f"{WEBHOOK}?mobile={ALICE}&content=yes")).status == 200
    assert (await asking)["id"] == "yes"


async def test_account_dialog(hass: HomeAssistant, sandbox: Sandbox) -> None:
    result = await hass.config_entries.flow.async_init(const.DOMAIN, context={"source": SOURCE_USER})
    result = await hass.config_entries.flow.async_configure(result["flow_id"], {"next_step_id": "http"})
    given = {
        "username": "homeuser",
        "password": "s3cret-Passw0rd",
        "product_id": "61341",
        "gateway": sandbox.url,
        "signature": "某某科技",
    }
    result = await hass.config_entries.flow.async_configure(result["flow_id"], given)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_options_and_recipient_dialogs(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    flows = hass.config_entries.options
    menu = await flows.async_init(entry.entry_id)
    for step in menu["menu_options"]:
        result = await flows.async_init(entry.entry_id)
        result = await flows.async_configure(result["flow_id"], {"next_step_id": step})
        assert result["type"] in (FlowResultType.FORM, FlowResultType.CREATE_ENTRY, FlowResultType.ABORT)
    subentries = hass.config_entries.subentries
    form = await subentries.async_init((entry.entry_id, "recipient"), context={"source": SOURCE_USER})
    created = await subentries.async_configure(form["flow_id"], {"name": "Carol", "number": "13800000003"})
    assert created["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done(wait_background_tasks=True)


async def test_diagnostics_and_system_health_do_not_block(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client: ClientSessionGenerator
) -> None:
    for component in ("diagnostics", "system_health"):
        assert await async_setup_component(hass, component, {})
    await hass.async_block_till_done()
    client = await hass_client()
    assert (await client.get(f"/api/diagnostics/config_entry/{entry.entry_id}")).status == 200
    info = await get_system_health_info(hass, const.DOMAIN)
    assert await info["gateway_reachable"] == "ok"


async def test_yaml_platform(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, sandbox: Sandbox) -> None:
    own = {
        "username": "homeuser",
        "password": "s3cret-Passw0rd",
        "product_id": "61341",
        "gateway": sandbox.url,
        "signature": "某某科技",
    }
    lines = [
        {"platform": "sms1680", "name": "of an account", "account": "Home", "recipients": ["Alice"]},
        {"platform": "sms1680", "name": "of its own", "recipients": [ALICE], **own},
    ]
    assert await async_setup_component(hass, "notify", {"notify": lines})
    await set_up(make_entry())
    for name in ("of_an_account", "of_its_own"):
        await act(hass, f"notify.{name}", message=f"门开了 {name}")
    assert len(sandbox.platform.messages) == 2
