"""What version 0.1.0 stored loads unchanged: entries, entities, messages, questions, commands, YAML."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config import load_yaml_config_file
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import Event, HomeAssistant
from homeassistant.helpers import (
    area_registry as ar,
    category_registry as cr,
    device_registry as dr,
    entity_registry as er,
    floor_registry as fr,
    issue_registry as ir,
    label_registry as lr,
    restore_state as rs,
)
from homeassistant.helpers.storage import get_internal_store_manager
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import async_capture_events, async_fire_time_changed
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from sms1680.sandbox import Account, Config, Sandbox
from tests.home_assistant.helpers import Until, act, get_messages

FILES = Path(__file__).parent / "written_by_0_1_0"
WRITTEN = datetime(2026, 11, 28, 15, 47, 50, tzinfo=UTC)
DAD, MUM, GRAN = "13800000001", "13800000002", "13800000003"
# Fields of a message since then, by its direction.
ADDED: dict[str, dict[str, None]] = {"in": {}, "out": {"cause": None}}
pytestmark = pytest.mark.usefixtures("account")


@pytest.fixture
def sandbox_config() -> Config:
    return Config((Account("demo", "demo1680", products={"61341": 10_000}),), report_delay=0.0, cmpp_port=0)


@pytest.fixture(autouse=True)
def hass_storage() -> dict[str, Any]:
    """Use real files: Home Assistant's test helper would use memory."""
    return {}


@pytest.fixture
def load_registries() -> bool:
    """Do not load registries early: the test helper would load empty ones before the files exist."""
    return False


@pytest.fixture
def files(hass: HomeAssistant, sandbox: Sandbox, _own_folder: None) -> Path:
    """Copy the files to the test's configuration folder, with the sandbox's ports."""
    folder = Path(hass.config.config_dir)
    shutil.copytree(FILES / "storage", folder / ".storage")
    for name in ("sms1680.db", "configuration.yaml"):
        shutil.copy(FILES / name, folder / name)
    entries = folder / ".storage" / "core.config_entries"
    text = re.sub(r"http://127\.0\.0\.1:\d+", sandbox.url, entries.read_text("utf-8"))
    entries.write_text(re.sub(r'"port":\d+', f'"port":{sandbox.cmpp.port}', text), "utf-8")
    yaml = folder / "configuration.yaml"
    yaml.write_text(yaml.read_text("utf-8").replace("GATEWAY", sandbox.url), "utf-8")
    return folder


@pytest.fixture
async def account(hass: HomeAssistant, files: Path, freezer: FrozenDateTimeFactory) -> ConfigEntry[Any]:
    """Load the account from the files as Home Assistant does at startup."""
    freezer.move_to(WRITTEN)
    for file in (files / ".storage").iterdir():
        get_internal_store_manager(hass).async_invalidate(file.name)  # the test helper checked before the files existed
    if set_up := getattr(dr, "async_setup", None):  # newer versions require it before loading
        set_up(hass)
    for registry in (ar, cr, dr, er, fr, ir, lr, rs):
        await registry.async_load(hass)
    await hass.config_entries.async_initialize()
    [entry] = hass.config_entries.async_entries("sms1680")
    configuration = await hass.async_add_executor_job(load_yaml_config_file, str(files / "configuration.yaml"))
    assert await async_setup_component(hass, "notify", configuration)
    assert await async_setup_component(hass, "sms1680", {})
    await hass.async_block_till_done(wait_background_tasks=True)
    assert entry.state is ConfigEntryState.LOADED
    return entry


def stored(name: str) -> Any:
    return json.loads((FILES / "storage" / name).read_text("utf-8"))["data"]


async def test_entity_ids_are_unchanged(hass: HomeAssistant, account: ConfigEntry[Any]) -> None:
    written = {
        entity["unique_id"]: entity["entity_id"]
        for entity in stored("core.entity_registry")["entities"]
        if entity["platform"] == "sms1680"
    }
    found = er.async_entries_for_config_entry(er.async_get(hass), account.entry_id)
    later = ("_waiting_messages", "_notify_critical", "_test_message", "_today", "_delivery_time")  # since 0.1.0
    added = {entity.unique_id for entity in found if entity.unique_id.endswith(later)}
    assert {entity.unique_id: entity.entity_id for entity in found if entity.unique_id not in added} == written
    unavailable = [
        entity.entity_id
        for entity in found
        if not entity.disabled and getattr(hass.states.get(entity.entity_id), "state", "unavailable") == "unavailable"
    ]
    assert unavailable == []


async def test_entry_and_recipient_data_are_unchanged(hass: HomeAssistant, account: ConfigEntry[Any]) -> None:
    [written] = [entry for entry in stored("core.config_entries")["entries"] if entry["domain"] == "sms1680"]
    assert account.options == written["options"]
    assert {**account.data["http"], "gateway": None} == {**written["data"]["http"], "gateway": None}
    assert {**account.data["cmpp"], "port": None} == {**written["data"]["cmpp"], "port": None}
    assert account.data["push_secret"] == written["data"]["push_secret"]
    assert [dict(subentry.data) for subentry in account.subentries.values()] == [
        subentry["data"] for subentry in written["subentries"]
    ]
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), account.entry_id)
    assert {device.name for device in devices} == {"某某科技", "爸爸", "妈妈", "奶奶"}


async def test_every_stored_message_is_found(hass: HomeAssistant) -> None:
    written = json.loads((FILES / "messages.json").read_text("utf-8"))["messages"]
    found = {
        (message["time"], message["number"], message["message"]): message
        for message in await get_messages(hass, limit=100)
    }
    assert len(written) == 15
    for message in written:
        again = found[message["time"], message["number"], message["message"]]
        # The wording of the reason can change.
        assert {**again, "reason": None} == {**message, "reason": None, **ADDED[message["direction"]]}
        assert (again.get("reason") is None) == (message.get("reason") is None)


async def test_counters_continue(hass: HomeAssistant, account: ConfigEntry[Any]) -> None:
    [totals] = [stored(path.name) for path in (FILES / "storage").glob("sms1680.totals.*")]
    registry = er.async_get(hass)
    for key, value in (("messages_sent", totals["messages"]), ("spent", totals["spent"])):
        entity_id = registry.async_get_entity_id("sensor", "sms1680", f"{account.entry_id}_{key}")
        assert entity_id is not None
        state = hass.states.get(entity_id)
        assert state is not None
        assert float(state.state) == pytest.approx(value)


async def test_message_waiting_for_the_platform_is_sent(
    hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory, until: Until
) -> None:
    freezer.move_to(WRITTEN + timedelta(minutes=2))
    async_fire_time_changed(hass)
    await until(lambda: sandbox.platform.phone(DAD).texts)
    assert sandbox.platform.phone(DAD).texts == ["【某某科技】平台离线时的告警"]
    assert sandbox.platform.phone(MUM).texts == []


async def test_messages_are_sent_after_quiet_hours(
    hass: HomeAssistant, sandbox: Sandbox, freezer: FrozenDateTimeFactory, until: Until
) -> None:
    freezer.move_to(datetime(2026, 11, 28, 15, 59, 1, tzinfo=UTC))
    async_fire_time_changed(hass)
    await until(lambda: len(sandbox.platform.phone(MUM).texts) == 2)
    assert set(sandbox.platform.phone(MUM).texts) == {"【某某科技】二", "【某某科技】晚上安静时的消息"}


async def test_fallback_runs_for_a_message_without_a_report(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, until: Until
) -> None:
    called: list[dict[str, Any]] = []

    async def record(call: Any) -> None:
        called.append(dict(call.data))

    hass.services.async_register("persistent_notification", "create", record)
    freezer.move_to(WRITTEN + timedelta(minutes=31))
    async_fire_time_changed(hass)
    await until(lambda: called)
    assert called == [{"message": "SMS not delivered"}]


async def connect(account: ConfigEntry[Any], sandbox: Sandbox, client: ClientSessionGenerator) -> None:
    address = str((await client()).make_url(f"/api/sms1680/{account.data['push_secret']}/1680"))
    platform = sandbox.platform.accounts["demo"]
    platform.report_address, platform.uplink_address = f"{address}/mr", f"{address}/mo"


async def test_reply_to_a_question_of_the_last_run_is_over(
    hass: HomeAssistant,
    account: ConfigEntry[Any],
    sandbox: Sandbox,
    until: Until,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    await connect(account, sandbox, hass_client_no_auth)
    received = async_capture_events(hass, "sms1680_message_received")
    sandbox.platform.reply(DAD, "1", extension="60")
    await until(lambda: received)
    data = received[0].data
    assert (data["question"], data["answer"], data["tag"]) == ("over", None, None)


async def test_command_secrets_work_and_used_codes_do_not(
    hass: HomeAssistant,
    account: ConfigEntry[Any],
    sandbox: Sandbox,
    until: Until,
    hass_client_no_auth: ClientSessionGenerator,
) -> None:
    await connect(account, sandbox, hass_client_no_auth)
    commands: list[Event[Any]] = async_capture_events(hass, "sms1680_command")
    received = async_capture_events(hass, "sms1680_message_received")
    [used] = [one["used"] for one in stored(f"sms1680.commands.{account.entry_id}").values() if one["used"]]
    [secret] = [one.data["totp_secret"] for one in account.subentries.values() if "totp_secret" in one.data]
    codes = pyotp.TOTP(secret)
    sandbox.platform.reply(GRAN, f"口令 关灯 {codes.generate_otp(used)}")
    sandbox.platform.reply(DAD, "口令 开门 739152", extension="12")
    sandbox.platform.reply(GRAN, f"口令 关灯 {codes.generate_otp(used + 1)}")
    await until(lambda: len(received) == 3)
    assert [event.data["text"] for event in commands] == ["开门", "关灯"]
    assert [event.data["command"] for event in received] == ["refused", "accepted", "accepted"]


async def test_repairs_and_refused_words_are_loaded(hass: HomeAssistant) -> None:
    [written] = [issue for issue in stored("repairs.issue_registry")["issues"] if issue["domain"] == "sms1680"]
    issue = ir.async_get(hass).async_get_issue("sms1680", written["issue_id"])
    assert issue is not None
    assert issue.translation_placeholders == written["translation_placeholders"]
    estimate = await act(hass, "estimate", message="网上赌博")
    assert "赌博" in json.dumps(estimate, ensure_ascii=False)


async def test_yaml_configuration_still_works(hass: HomeAssistant, sandbox: Sandbox) -> None:
    await hass.services.async_call("notify", "family", {"message": "水位过高"}, blocking=True)
    assert {message.number for message in sandbox.platform.messages} == {DAD, "13911000000"}
    await hass.services.async_call(
        "notify", "without_entry", {"message": "水位正常", "target": ["13911000000"]}, blocking=True
    )
    assert sandbox.platform.phone("13911000000").texts == ["【某某科技】水位过高", "【某某科技】水位正常"]
