"""Run each blueprint in Home Assistant with a sandbox platform and its phones."""

from __future__ import annotations

import re
import shutil
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.automation.config import AUTOMATION_BLUEPRINT_SCHEMA
from homeassistant.components.blueprint.models import Blueprint
from homeassistant.core import CoreState, HomeAssistant, ServiceCall
from homeassistant.helpers import device_registry as dr, issue_registry as ir
from homeassistant.helpers.selector import selector
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import load_yaml
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.sms1680.client import DeliveryReport
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.inbound.registry import async_get_registry
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, BOB, Connect, poll, send_text, wait_for_messages

FOLDER = Path(__file__).parents[2] / "blueprints" / "automation" / "sms1680"
FILES = sorted(FOLDER.glob("*.yaml"))
LANGUAGES = ("", ".zh-Hans")


@pytest.fixture
async def pushed(entry: MockConfigEntry, connect: Connect) -> MockConfigEntry:
    """The default account, with pushes from the platform."""
    await connect()
    return entry


def act(**data: str) -> list[dict[str, Any]]:
    return [{"action": "test.acted", "data": data}]


async def use(hass: HomeAssistant, name: str, **inputs: Any) -> None:
    """Set up an automation from an imported blueprint."""
    shutil.copytree(FOLDER, hass.config.path("blueprints", "automation", "sms1680"))
    assert await async_setup_component(hass, "persistent_notification", {})
    automation = {"id": "it", "alias": "it", "use_blueprint": {"path": f"sms1680/{name}.yaml", "input": inputs}}
    assert await async_setup_component(hass, "automation", {"automation": [automation]})
    await hass.async_block_till_done()
    state = hass.states.get("automation.it")
    assert state is not None
    assert state.state == "on"


# What a blueprint does; all other texts are for people.
LOGIC = {"action", "at", "condition", "conditions", "domain", "entity_id", "event_type", "for_each", "id", "if"}
LOGIC |= {"integration", "mode", "notification_id", "state", "tag", "trigger", "until"}


def logic(node: Any, key: str = "") -> Any:
    """Return a blueprint without its texts for people."""
    if isinstance(node, dict):
        return {name: logic(value, name) for name, value in node.items()}
    if isinstance(node, list):
        return [logic(value, key) for value in node]
    return node if key in LOGIC or not isinstance(node, str) else ""


def test_both_languages_differ_in_words_only() -> None:
    names = {path.name.removesuffix(".yaml").removesuffix(".zh-Hans") for path in FILES}
    assert (len(names), len(FILES)) == (5, 10)
    for name in names:
        english, chinese = (logic(load_yaml(str(FOLDER / f"{name}{language}.yaml"))) for language in LANGUAGES)
        assert english == chinese, name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_input_has_a_selector_and_is_used(path: Path) -> None:
    given = load_yaml(str(path))
    assert isinstance(given, dict)
    blueprint = Blueprint(given, expected_domain="automation", schema=AUTOMATION_BLUEPRINT_SCHEMA)
    assert blueprint.validate() is None
    assert blueprint.metadata["source_url"].endswith(f"/blueprints/automation/sms1680/{path.name}")
    for name, one in blueprint.inputs.items():
        assert one["name"], name
        selector(one["selector"])
    used = set(re.findall(r"!input (\w+)", path.read_text("utf-8")))
    assert used == blueprint.inputs.keys()


@pytest.mark.usefixtures("pushed")
@pytest.mark.parametrize("language", LANGUAGES)
class TestAskBeforeActing:
    """The garage was left open."""

    @staticmethod
    async def begin(hass: HomeAssistant, language: str, **inputs: Any) -> None:
        await use(
            hass,
            f"ask_before_acting{language}",
            watched="cover.garage",
            patience={"seconds": 0},
            recipients=["notify.alice", "notify.bob"],
            on_yes=act(done="yes", who="{{ answer.recipient }}"),
            on_no=act(done="no", who="{{ answer.reason | default('said so') }}"),
            **inputs,
        )
        hass.states.async_set("cover.garage", "open", {"friendly_name": "车库门"})

    async def test_yes_runs_the_action(
        self, hass: HomeAssistant, sandbox: Sandbox, acted: list[ServiceCall], language: str
    ) -> None:
        await self.begin(hass, language)
        questions = await wait_for_messages(sandbox, 2)
        assert {number for number, _ in questions} == {ALICE, BOB}
        assert all(re.match(r"\d\d:\d\d 车库门", text) for _, text in questions)
        sandbox.platform.reply(BOB, "好的")
        notice = (await wait_for_messages(sandbox, 3))[2]
        assert notice[0] == ALICE
        assert "Bob" in notice[1]
        await hass.async_block_till_done()
        assert [call.data for call in acted] == [{"done": "yes", "who": "Bob"}]

    async def test_unneeded_yes_does_not_run_the_action(
        self, hass: HomeAssistant, sandbox: Sandbox, acted: list[ServiceCall], language: str
    ) -> None:
        await self.begin(hass, language)
        await wait_for_messages(sandbox, 2)
        hass.states.async_set("cover.garage", "closed")
        sandbox.platform.reply(BOB, "1")
        await wait_for_messages(sandbox, 3)
        await hass.async_block_till_done()
        assert not acted

    async def test_no_runs_the_other_action(
        self, hass: HomeAssistant, sandbox: Sandbox, acted: list[ServiceCall], language: str
    ) -> None:
        await self.begin(hass, language)
        await wait_for_messages(sandbox, 2)
        sandbox.platform.reply(ALICE, "不用")
        await wait_for_messages(sandbox, 3)
        await hass.async_block_till_done()
        assert [call.data for call in acted] == [{"done": "no", "who": "said so"}]

    async def test_missing_answer_runs_the_other_action(
        self, hass: HomeAssistant, acted: list[ServiceCall], language: str
    ) -> None:
        await self.begin(hass, language, timeout={"milliseconds": 200})
        await hass.async_block_till_done()
        assert [call.data for call in acted] == [{"done": "no", "who": "timeout"}]

    @pytest.mark.parametrize(("too_late", "count"), [({}, 1), ({"too_late": ""}, 0)])
    async def test_late_yes_is_answered_once(
        self,
        hass: HomeAssistant,
        sandbox: Sandbox,
        acted: list[ServiceCall],
        *,
        language: str,
        too_late: dict[str, str],
        count: int,
    ) -> None:
        await self.begin(hass, language, timeout={"milliseconds": 300}, **too_late)
        await wait_for_messages(sandbox, 2)
        await poll(lambda: acted)
        for number in (BOB, ALICE):
            sandbox.platform.reply(number, "1")
            await sandbox.wait_for(lambda platform: not platform.pushes.waiting)
            await hass.async_block_till_done()
        assert [message.number for message in sandbox.platform.messages][2:] == [BOB] * count
        assert [call.data["done"] for call in acted] == ["no"]


@pytest.mark.parametrize("language", LANGUAGES)
class TestAcknowledgeOrEscalate:
    """An alarm asks Alice for an acknowledgement, then Bob."""

    @staticmethod
    async def begin(hass: HomeAssistant, language: str, seconds: float, times: int = 2, **inputs: Any) -> None:
        given = {
            "alarm": ["binary_sensor.window", "binary_sensor.smoke"],
            "first": ["notify.alice"],
            "second": ["notify.bob"],
            "times": times,
            "pause": {"milliseconds": int(seconds * 1000)},
            "on_acknowledged": act(done="acknowledged", who="{{ who }}"),
            "on_nobody": act(done="nobody"),
            **inputs,
        }
        await use(hass, f"acknowledge_or_escalate{language}", **given)
        hass.states.async_set("binary_sensor.window", "on", {"friendly_name": "后窗"})

    @staticmethod
    async def turn_off(hass: HomeAssistant) -> None:
        await hass.services.async_call("automation", "turn_off", {"entity_id": "automation.it"}, blocking=True)

    async def test_alarm_is_repeated_with_count_and_time_then_escalated(
        self,
        hass: HomeAssistant,
        pushed: MockConfigEntry,
        sandbox: Sandbox,
        *,
        acted: list[ServiceCall],
        language: str,
    ) -> None:
        assert pushed.runtime_data
        await self.begin(hass, language, 0.4)
        messages = await wait_for_messages(sandbox, 3)
        sandbox.platform.reply(BOB, "收到")
        await hass.async_block_till_done()
        assert [call.data for call in acted] == [{"done": "acknowledged", "who": "Bob"}]
        assert [number for number, _ in messages] == [ALICE, ALICE, BOB]
        counted = r"后窗（第(\d)次 \d\d:\d\d）" if language else r"后窗 \(No\. (\d), \d\d:\d\d\)"
        found = [re.search(counted, text) for _, text in messages]
        assert [match and match[1] for match in found] == ["1", "2", "1"]

    async def test_undelivered_alarm_is_escalated_at_once(
        self,
        hass: HomeAssistant,
        pushed: MockConfigEntry,
        sandbox: Sandbox,
        *,
        acted: list[ServiceCall],
        language: str,
    ) -> None:
        sandbox.platform.accounts["homeuser"].report_address = None
        await self.begin(hass, language, 20, times=3)
        await wait_for_messages(sandbox, 1)
        report = DeliveryReport(sandbox.platform.messages[0].message_id, ALICE, "UNDELIV")
        await async_get_registry(hass).async_get(pushed).async_receive(report, InboundSource.WEBHOOK, 1)
        assert [number for number, _ in await wait_for_messages(sandbox, 2)] == [ALICE, BOB]
        sandbox.platform.reply(BOB, "1")
        await hass.async_block_till_done()
        assert len(acted) == 1

    @pytest.mark.usefixtures("pushed")
    async def test_late_acknowledgement_ends_the_alarm(
        self, hass: HomeAssistant, sandbox: Sandbox, acted: list[ServiceCall], language: str
    ) -> None:
        await self.begin(hass, language, 1.5, times=1)
        await wait_for_messages(sandbox, 2)
        sandbox.platform.reply(ALICE, "知道了")
        await sandbox.wait_for(lambda platform: not platform.pushes.waiting)
        await hass.async_block_till_done()
        assert [call.data for call in acted] == [{"done": "acknowledged", "who": "Alice"}]
        # The alarm is over and can start again.
        hass.states.async_set("binary_sensor.window", "off")
        hass.states.async_set("binary_sensor.window", "on")
        assert [number for number, _ in await wait_for_messages(sandbox, 3)] == [ALICE, BOB, ALICE]
        await self.turn_off(hass)

    @pytest.mark.usefixtures("pushed")
    async def test_acknowledgement_after_the_last_attempt_counts_once(
        self, hass: HomeAssistant, sandbox: Sandbox, acted: list[ServiceCall], language: str
    ) -> None:
        await self.begin(hass, language, 0.3, times=1)
        await wait_for_messages(sandbox, 2)
        await poll(lambda: acted)
        for number in (ALICE, BOB):
            sandbox.platform.reply(number, "1")
            await sandbox.wait_for(lambda platform: not platform.pushes.waiting)
            await hass.async_block_till_done()
        assert [call.data for call in acted] == [{"done": "nobody"}, {"done": "acknowledged", "who": "Alice"}]

    @pytest.mark.usefixtures("pushed")
    async def test_second_acknowledgement_is_ignored(
        self, hass: HomeAssistant, sandbox: Sandbox, acted: list[ServiceCall], language: str
    ) -> None:
        go_on = {"wait_for_trigger": {"trigger": "event", "event_type": "go_on"}}
        done = [*act(done="begun", who="{{ who }}"), go_on, *act(done="ended", who="{{ who }}")]
        people = ["notify.alice", "notify.bob"]
        await self.begin(hass, language, 20, first=people, second=[], on_acknowledged=done, tell_others="")
        await wait_for_messages(sandbox, 2)
        sandbox.platform.reply(ALICE, "1")
        await poll(lambda: acted)
        sandbox.platform.reply(BOB, "1")
        await sandbox.wait_for(lambda platform: not platform.pushes.waiting)
        await poll(lambda: "go_on" in hass.bus.async_listeners())
        hass.bus.async_fire("go_on")
        await poll(lambda: len(acted) > 1)
        await hass.async_block_till_done()
        assert [call.data for call in acted] == [{"done": "begun", "who": "Alice"}, {"done": "ended", "who": "Alice"}]
        assert len(sandbox.platform.messages) == 2

    @pytest.mark.usefixtures("pushed")
    async def test_second_alarm_restarts_and_names_both(
        self, hass: HomeAssistant, sandbox: Sandbox, acted: list[ServiceCall], language: str
    ) -> None:
        await self.begin(hass, language, 20)
        await wait_for_messages(sandbox, 1)
        # The same alarm again starts nothing.
        hass.states.async_set("binary_sensor.window", "off", {"friendly_name": "后窗"})
        hass.states.async_set("binary_sensor.window", "on", {"friendly_name": "后窗"})
        hass.states.async_set("binary_sensor.smoke", "on", {"friendly_name": "烟雾"})
        (_, first), (_, second) = await wait_for_messages(sandbox, 2)
        assert ("烟雾" in first, "后窗" in second, "烟雾" in second) == (False, True, True)
        sandbox.platform.reply(ALICE, "1")
        await poll(lambda: acted)
        await hass.async_block_till_done()
        assert [call.data["done"] for call in acted] == ["acknowledged"]

    async def test_unsent_alarm_is_retried(
        self,
        hass: HomeAssistant,
        make_entry: Callable[..., MockConfigEntry],
        set_up: Callable[[MockConfigEntry], Awaitable[None]],
        *,
        sandbox: Sandbox,
        acted: list[ServiceCall],
        no_patience: None,  # noqa: ARG002
        language: str,
    ) -> None:
        """The gateway is unreachable at first, then the account is unloaded."""
        made = make_entry(http={"gateway": "http://127.0.0.1:1"})
        await set_up(made)
        await self.begin(hass, language, 0.4, times=1000, second=[])
        await poll(lambda: "automation.it" in hass.states.async_entity_ids())
        assert await hass.config_entries.async_unload(made.entry_id)
        hass.config_entries.async_update_entry(
            made, data={**made.data, "http": {**made.data["http"], "gateway": sandbox.url}}
        )
        assert not sandbox.platform.messages
        assert await hass.config_entries.async_setup(made.entry_id)
        await wait_for_messages(sandbox, 1)
        assert not acted
        await self.turn_off(hass)

    @pytest.mark.usefixtures("pushed")
    @pytest.mark.parametrize("after_restart", [True, False])
    async def test_open_alarm_restarts_with_home_assistant(
        self, hass: HomeAssistant, sandbox: Sandbox, language: str, *, after_restart: bool
    ) -> None:
        hass.states.async_set("binary_sensor.window", "on", {"friendly_name": "后窗"})
        hass.set_state(CoreState.not_running)
        await self.begin(hass, language, 20, after_restart=after_restart)
        await hass.async_start()
        if not after_restart:
            hass.states.async_set("binary_sensor.smoke", "on", {"friendly_name": "烟雾"})
        ((_, text),) = await wait_for_messages(sandbox, 1)
        assert "后窗" in text
        assert ("烟雾" in text) is not after_restart
        await self.turn_off(hass)

    @pytest.mark.usefixtures("pushed")
    async def test_unacknowledged_alarm_runs_the_last_action(
        self, hass: HomeAssistant, acted: list[ServiceCall], language: str
    ) -> None:
        await self.begin(hass, language, 0.1, times=1)
        hass.states.async_set("binary_sensor.window", "off")
        hass.states.async_set("binary_sensor.window", "on")
        await hass.async_block_till_done()
        assert [call.data for call in acted] == [{"done": "nobody"}]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("chosen", [True, False])
async def test_undelivered_message_runs_the_other_action(
    hass: HomeAssistant, pushed: MockConfigEntry, *, acted: list[ServiceCall], chosen: bool, language: str
) -> None:
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), pushed.entry_id)
    alice = next(device.id for device in devices if device.name == "Alice")
    way = act(who="{{ who }}", reason="{{ reason }}", text="{{ text }}")
    await use(hass, f"undelivered_other_way{language}", other_way=way, **({"recipients": [alice]} if chosen else {}))
    receiver = async_get_registry(hass).async_get(pushed)
    for number, status in ((ALICE, "KX:1000"), (ALICE, "0"), (BOB, "KX:1000"), ("13900000009", "UNDELIV")):
        (receipt,) = await send_text(pushed.runtime_data.client, number, f"门开了 {status}")
        report = DeliveryReport(receipt.message_id or "", number, status)
        await receiver.async_receive(report, InboundSource.WEBHOOK, 1)
    await hass.async_block_till_done()
    assert [call.data["who"] for call in acted] == (["Alice"] if chosen else ["Alice", "Bob", "139****0009"])
    assert acted[0].data["reason"] in acted[0].data["text"]
    assert acted[0].data["reason"]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_undelivered_second_message_starts_no_loop(
    hass: HomeAssistant, pushed: MockConfigEntry, *, sandbox: Sandbox, acted: list[ServiceCall], language: str
) -> None:
    sandbox.platform.phone(BOB).report_status = "UNDELIV"
    to_bob = {
        "action": "sms1680.send_message",
        "target": {"entity_id": "notify.bob"},
        "data": {"message": "{{ text }}"},
    }
    await use(hass, f"undelivered_other_way{language}", other_way=[to_bob, *act(text="{{ text }}")])
    failures = async_capture_events(hass, "sms1680_message_failed")
    sandbox.platform.phone(ALICE).report_status = "KX:3000"
    await send_text(pushed.runtime_data.client, ALICE, "门开了")
    await poll(lambda: len(failures) == 2)
    await hass.async_block_till_done()
    assert [failure.data["automatic"] for failure in failures] == [False, True]
    assert [message.number for message in sandbox.platform.messages] == [ALICE, BOB]
    assert ("可能未送达" if language else "may not have arrived") in acted[0].data["text"]


@pytest.mark.parametrize("language", LANGUAGES)
class TestWeeklyDrill:
    """A drill on Saturdays at ten."""

    @pytest.fixture
    def expected_lingering_timers(self) -> bool:
        """The time trigger waits for its next day."""
        return True

    @staticmethod
    async def begin(hass: HomeAssistant, language: str, freezer: FrozenDateTimeFactory, **inputs: Any) -> None:
        zone = dt_util.get_default_time_zone()
        freezer.move_to(datetime(2026, 5, 2, 9, 59, 59, tzinfo=zone))
        failed = act(missing="{{ missing | trim }}")
        people = ["notify.alice", "notify.bob"]
        await use(hass, f"weekly_drill{language}", recipients=people, on_failure=failed, **inputs)
        freezer.move_to(datetime(2026, 5, 2, 10, tzinfo=zone))
        async_fire_time_changed(hass, dt_util.utcnow())

    @staticmethod
    def time_up(hass: HomeAssistant) -> None:
        async_fire_time_changed(hass, dt_util.utcnow() + timedelta(hours=2))

    @staticmethod
    def failure(hass: HomeAssistant) -> str | None:
        issues = [issue for issue in ir.async_get(hass).issues.values() if issue.translation_key == "drill_failed"]
        return (issues[0].translation_placeholders or {})["details"] if issues else None

    @pytest.mark.usefixtures("pushed")
    async def test_successful_drill_reports_success(
        self,
        hass: HomeAssistant,
        sandbox: Sandbox,
        acted: list[ServiceCall],
        *,
        language: str,
        freezer: FrozenDateTimeFactory,
    ) -> None:
        await self.begin(hass, language, freezer)
        await wait_for_messages(sandbox, 2)
        for number in (ALICE, BOB):
            sandbox.platform.reply(number, "1")
        await hass.async_block_till_done()
        assert not acted
        assert self.failure(hass) is None

    @pytest.mark.usefixtures("pushed")
    async def test_missing_answer_is_reported(
        self,
        hass: HomeAssistant,
        sandbox: Sandbox,
        acted: list[ServiceCall],
        *,
        language: str,
        freezer: FrozenDateTimeFactory,
    ) -> None:
        reports = async_capture_events(hass, "sms1680_delivery_report")
        messages = async_capture_events(hass, "sms1680_message_received")
        await self.begin(hass, language, freezer)
        await wait_for_messages(sandbox, 2)
        sandbox.platform.reply(ALICE, "1")
        await poll(lambda: len(messages) == 1 and len(reports) == 2)
        self.time_up(hass)
        await hass.async_block_till_done()
        assert [" ".join(call.data["missing"].split()) for call in acted] == [
            "Bob: 没有回复" if language else "Bob: no answer"
        ]
        assert self.failure(hass) == "Bob: no answer"

    async def test_missing_report_is_reported_until_the_next_successful_drill(
        self,
        hass: HomeAssistant,
        pushed: MockConfigEntry,
        *,
        sandbox: Sandbox,
        acted: list[ServiceCall],
        language: str,
        freezer: FrozenDateTimeFactory,
    ) -> None:
        account = sandbox.platform.accounts["homeuser"]
        address, account.report_address = account.report_address, None
        messages = async_capture_events(hass, "sms1680_message_received")
        await self.begin(hass, language, freezer)
        await wait_for_messages(sandbox, 2)
        for number in (ALICE, BOB):
            sandbox.platform.reply(number, "1")
        await poll(lambda: len(messages) == 2)
        self.time_up(hass)
        await hass.async_block_till_done()
        assert len(acted) == 1
        assert self.failure(hass) == "Alice: no report of its delivery\nBob: no report of its delivery"
        account.report_address = address
        freezer.move_to(datetime(2026, 5, 9, 10, tzinfo=dt_util.get_default_time_zone()))
        async_fire_time_changed(hass, dt_util.utcnow())
        await wait_for_messages(sandbox, 4)
        for number in (ALICE, BOB):
            sandbox.platform.reply(number, "1")
        await hass.async_block_till_done()
        assert len(acted) == 1
        assert self.failure(hass) is None
        assert pushed.runtime_data

    async def test_unloaded_account_is_reported(
        self,
        hass: HomeAssistant,
        pushed: MockConfigEntry,
        *,
        acted: list[ServiceCall],
        language: str,
        freezer: FrozenDateTimeFactory,
    ) -> None:
        assert await hass.config_entries.async_unload(pushed.entry_id)
        await self.begin(hass, language, freezer)
        await hass.async_block_till_done()
        assert [call.data["missing"] for call in acted] == [
            "没有发送任何内容：账户未加载" if language else "nothing was sent: the account is not loaded"
        ]

    @pytest.mark.usefixtures("pushed")
    async def test_drill_runs_on_its_weekday_only(
        self, hass: HomeAssistant, sandbox: Sandbox, language: str, freezer: FrozenDateTimeFactory
    ) -> None:
        await self.begin(hass, language, freezer, weekday="sun")
        await hass.async_block_till_done()
        assert not sandbox.platform.messages
