"""Run the examples of the pages in Home Assistant, with a sandbox platform."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from freezegun.api import FrozenDateTimeFactory
from homeassistant.components.recorder.db_schema import EventData, Events, EventTypes
from homeassistant.components.recorder.util import session_scope
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
    async_mock_service,
)
from pytest_homeassistant_custom_component.components.recorder.common import async_wait_recording_done
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator, RecorderInstanceContextManager
from support.pages import HOME_ASSISTANT_PAGES, LANGUAGES, all_examples, cells, path_of, table_of

from custom_components.sms1680 import const, trigger
from custom_components.sms1680.account import batching as sharing
from custom_components.sms1680.actions import legacy_notify as yaml_notify
from custom_components.sms1680.actions.cancel import CancelResult
from custom_components.sms1680.client import DeliveryReport, Outcome, Receipt, Reply
from custom_components.sms1680.const import EVENT_DELIVERY_REPORT, EVENT_MESSAGE_RECEIVED
from custom_components.sms1680.conversation.engine import NoAnswer
from custom_components.sms1680.deferred.models import DeliveryResult
from custom_components.sms1680.inbound import events as receiving
from custom_components.sms1680.inbound.models import InboundSource
from custom_components.sms1680.recipients import Addressee
from custom_components.sms1680.store import manager as storing
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import MakeEntry, SetUp, act, duty_group, receive, send_text, sent

LI, WANG, NUMBER, STRANGER = "13800210000", "13500210000", "13911000000", "13900000009"
KINDS = ("automation", "script", "configuration", "push")
EXAMPLES = {example.name: example for example in all_examples(*KINDS)}


@pytest.fixture(autouse=True)
def _integrations(recorder_db_url: str, enable_custom_integrations: None) -> None:
    """Set up the recorder's database before Home Assistant, then as in every test here."""


@pytest.fixture
def add_home(make_entry: MakeEntry, set_up: SetUp) -> Callable[[], Awaitable[MockConfigEntry]]:
    """Return a function that adds the account Home with the recipients Li and Wang."""

    async def add() -> MockConfigEntry:
        made = make_entry(
            recipients=[
                {"data": {"number": number}, "subentry_type": "recipient", "title": name, "unique_id": number}
                for name, number in (("Li", LI), ("Wang", WANG))
            ]
        )
        await set_up(made)
        return made

    return add


@pytest.fixture
async def home(add_home: Callable[[], Awaitable[MockConfigEntry]]) -> MockConfigEntry:
    return await add_home()


@pytest.fixture
async def pushed(home: MockConfigEntry, sandbox: Sandbox, hass_client_no_auth: ClientSessionGenerator) -> str:
    """Let the platform push to Home Assistant's HTTP server; return the address without `/mo` and `/mr`."""
    http = await hass_client_no_auth()
    address = str(http.make_url(f"/api/sms1680/{home.data['push_secret']}/1680"))
    account = sandbox.platform.accounts["homeuser"]
    account.report_address, account.uplink_address = f"{address}/mr", f"{address}/mo"
    return address


@pytest.fixture
def switched(hass: HomeAssistant) -> list[ServiceCall]:
    """Record the calls of the switch actions."""
    calls = async_mock_service(hass, "switch", "turn_on")
    hass.services.async_register("switch", "turn_off", calls.append)
    return calls


async def automate(hass: HomeAssistant, name: str) -> None:
    automations = yaml.safe_load(EXAMPLES[name].text)
    assert await async_setup_component(hass, "automation", {"automation": automations})
    await hass.async_block_till_done()
    assert len(hass.states.async_entity_ids("automation")) == len(automations)
    assert {state.state for state in hass.states.async_all("automation")} == {"on"}


async def load(hass: HomeAssistant, name: str) -> None:
    assert await async_setup_component(hass, "persistent_notification", {})
    assert await async_setup_component(hass, "script", {"script": {"example": yaml.safe_load(EXAMPLES[name].text)}})


async def run(hass: HomeAssistant, name: str) -> None:
    await load(hass, name)
    await hass.services.async_call("script", "example", blocking=True)
    await hass.async_block_till_done()


def notices(hass: HomeAssistant) -> list[str]:
    return [str(one["message"]) for one in hass.data.get("persistent_notification", {}).values()]


def test_every_example_is_run_here() -> None:
    here = set(re.findall(r"(?:automate|load|run|configuration)\([^)]*?\"(\w+)\"\)", Path(__file__).read_text("utf-8")))
    assert here == EXAMPLES.keys() - {""}


@pytest.mark.usefixtures("pushed")
async def test_alarm_is_sent_and_its_reply_silences_the_siren(
    hass: HomeAssistant, home: MockConfigEntry, sandbox: Sandbox, switched: list[ServiceCall]
) -> None:
    await automate(hass, "answer")
    hass.states.async_set("binary_sensor.back_door", "on")
    await hass.async_block_till_done()
    ((number, text),) = sent(sandbox)
    assert number == LI
    assert re.fullmatch(r"后门 \d\d:\d\d 打开，回复 1 关闭警报", text)
    await receive(hass, home, Reply(STRANGER, "1"), Reply(LI, "好的"))
    assert [call.service for call in switched] == ["turn_on"]
    sandbox.platform.reply(LI, "1")
    await sandbox.wait_for(lambda platform: platform.pushes.delivered == 2)
    await hass.async_block_till_done()
    assert [call.service for call in switched] == ["turn_on", "turn_off"]
    assert switched[-1].data["entity_id"] == ["switch.siren"]


async def test_duty_group_gets_an_alarm_until_the_smoke_is_gone(
    hass: HomeAssistant, home: MockConfigEntry, sandbox: Sandbox
) -> None:
    li = next(one for one in home.subentries.values() if one.title == "Li")
    group = duty_group(members=(li.subentry_id,))
    hass.config_entries.async_add_subentry(home, ConfigSubentry(**{**group, "data": MappingProxyType(group["data"])}))
    await hass.async_block_till_done(wait_background_tasks=True)
    await automate(hass, "duty")
    steps = async_capture_events(hass, const.EVENT_ALARM)
    for state in ("on", "off"):
        hass.states.async_set("binary_sensor.kitchen_smoke", state)
        await hass.async_block_till_done(wait_background_tasks=True)
    ((number, text),) = sent(sandbox)
    assert number == LI
    assert text.startswith("厨房烟雾报警，请立即查看\n")
    assert [event.data["step"] for event in steps] == ["raised", "resolved"]
    for language in LANGUAGES:
        assert {frozenset(named(language, "alarm-event"))} == {frozenset(event.data) for event in steps}


@pytest.mark.usefixtures("home")
async def test_first_example_sends_an_alarm(hass: HomeAssistant, sandbox: Sandbox) -> None:
    await run(hass, "first")
    ((number, text),) = sent(sandbox)
    assert number == LI
    assert re.fullmatch(r"后门 \d\d:\d\d 打开", text)


@pytest.mark.usefixtures("home")
async def test_send_example_reports_each_outcome(hass: HomeAssistant, sandbox: Sandbox) -> None:
    await run(hass, "send")
    assert sorted(number for number, _ in sent(sandbox)) == sorted([LI, WANG, NUMBER])
    assert notices(hass) == []
    sandbox.platform.forbidden_words = ["打开"]
    await hass.services.async_call("script", "example", blocking=True)
    assert [one for one in notices(hass) if "critical" not in one] == ["refused: forbidden_words"] * 3


@pytest.mark.usefixtures("home", "pushed")
@pytest.mark.parametrize(("status", "also"), [("0", []), ("KX:1000", [(WANG, "李先生未收到水位报警，请联系他")])])
async def test_undelivered_message_notifies_another_person(
    hass: HomeAssistant, sandbox: Sandbox, *, status: str, also: list[Any]
) -> None:
    sandbox.platform.phone(LI).report_status = status
    await run(hass, "wait")
    assert sent(sandbox) == [(LI, "水位过高，请立即查看"), *also]


@pytest.mark.usefixtures("home")
async def test_alarm_example_sends_the_safe_text(hass: HomeAssistant, sandbox: Sandbox) -> None:
    sandbox.platform.forbidden_words = ["烟雾"]
    await run(hass, "alarm")
    assert sent(sandbox) == [(LI, "家中有警报，请查看")]


@pytest.mark.usefixtures("home")
async def test_example_of_the_other_actions(hass: HomeAssistant, sandbox: Sandbox) -> None:
    await run(hass, "others")
    assert sent(sandbox) == [
        (LI, "李先生，后门 打开"),
        (NUMBER, "王先生，车库 打开"),
        (LI, "一号门打开"),
        (NUMBER, "二号门打开"),
    ]
    (notice,) = notices(hass)
    assert notice.startswith("996 left; 1 part; unregistered links are often blocked")


@pytest.mark.parametrize(
    ("answer", "acted"), [("保持", []), ("2", ["close_cover"]), ("报警！", ["turn_on"]), (None, ["turn_on"])]
)
async def test_question_waits_for_its_answer(
    hass: HomeAssistant,
    home: MockConfigEntry,
    sandbox: Sandbox,
    switched: list[ServiceCall],
    *,
    answer: str | None,
    acted: list[str],
) -> None:
    hass.services.async_register("cover", "close_cover", switched.append)
    await load(hass, "ask")
    asked = hass.async_create_task(hass.services.async_call("script", "example", blocking=True))
    await sandbox.wait_for(lambda platform: len(platform.messages) == 2)
    if answer:
        await receive(hass, home, Reply(WANG, answer), settle=False)
        await sandbox.wait_for(lambda platform: len(platform.messages) == 3)
        assert sent(sandbox)[2] == (LI, "车库门的事已由Wang答复")
    else:
        home.runtime_data.conversation.questions.end_all(NoAnswer.TIMEOUT)
    await asked
    assert [call.service for call in switched] == acted


async def test_delivery_report_event_notifies_another_person(
    hass: HomeAssistant, home: MockConfigEntry, sandbox: Sandbox
) -> None:
    await automate(hass, "undelivered")
    await receive(hass, home, DeliveryReport("1", LI, "0"), DeliveryReport("2", LI, "KX:2000"))
    ((number, text),) = sent(sandbox)
    assert number == WANG
    assert text.startswith("短信未送达李先生：The gateway of the channel does not exist")


async def test_other_texts_are_shown(hass: HomeAssistant, home: MockConfigEntry) -> None:
    assert await async_setup_component(hass, "persistent_notification", {})
    await automate(hass, "assist")
    await receive(hass, home, Reply(STRANGER, "请回电"))
    assert notices(hass) == ["请回电"]


async def test_entities_show_the_account_and_the_answers(
    hass: HomeAssistant, home: MockConfigEntry, sandbox: Sandbox
) -> None:
    assert await async_setup_component(hass, "persistent_notification", {})
    await automate(hass, "entities")
    await receive(hass, home, DeliveryReport("1", LI, "0"), Reply(LI, "好的"))
    assert notices(hass) == ["好的"]
    sandbox.platform.accounts["homeuser"].balances["61341"] = 7
    await act(hass, "get_balance")
    await hass.async_block_till_done()
    assert notices(hass) == ["好的", "Home Balance: 7"]
    sandbox.platform.accounts["homeuser"].balances["61341"] = 0
    await act(hass, "get_balance")
    await hass.async_block_till_done()
    assert notices(hass)[2:] == ["Home Can send: off"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_name_the_defaults(language: str) -> None:
    pages = [path_of(page, language).read_text("utf-8") for page in HOME_ASSISTANT_PAGES]
    shown = " ".join(" ".join(pages).split())
    said = {
        "en": (
            "every {} minutes",
            "{} parts (an option",
            "within five seconds",
            "more than two minutes",
            "within {} ms",
            "for {} days",
            "`{}`",
        ),
        "zh": ("每 {} 分钟", "默认 {} 条", "五秒之内", "等待超过两分钟", "{} 毫秒内", "保存 {} 天", "`{}`"),
    }[language]
    values = (
        const.DEFAULT_BALANCE_INTERVAL,
        const.DEFAULT_LOW_BALANCE,
        "",
        "",
        round(sharing.WINDOW * 1000),
        const.DEFAULT_KEEP_DAYS,
        storing.FILE,
    )
    assert (const.DEFAULT_REPEAT_WINDOW, receiving._FRESH.total_seconds()) == (5, 120)
    assert [words for words, value in zip(said, values, strict=True) if words.format(value) not in shown] == []


@pytest.mark.skipif(not trigger.SUPPORTS_TRIGGERS, reason="Custom triggers need Home Assistant 2025.12 or later")
async def test_trigger_examples(hass: HomeAssistant, home: MockConfigEntry, switched: list[ServiceCall]) -> None:
    assert await async_setup_component(hass, "persistent_notification", {})
    await automate(hass, "triggers")
    await receive(hass, home, Reply(WANG, "好的"), Reply(LI, "好的"), DeliveryReport("2", WANG, "KX:4000"))
    assert [call.service for call in switched] == ["turn_off"]
    (notice,) = notices(hass)
    assert notice.startswith("Wang: The same text was sent to this number too often")


@pytest.fixture
async def commanded(make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:
    """Return an account whose recipient Li has permission for commands."""
    li = {"number": LI, "commands": "pin", "pin": "482915"}
    made = make_entry(
        recipients=[{"data": li, "subentry_type": "recipient", "title": "Li", "unique_id": LI}],
        options={const.CONF_COMMAND_WORDS: ["撤防", "开门"]},
    )
    await set_up(made)
    return made


@pytest.mark.skipif(not trigger.SUPPORTS_TRIGGERS, reason="Custom triggers need Home Assistant 2025.12 or later")
async def test_command_disarms(hass: HomeAssistant, commanded: MockConfigEntry, sandbox: Sandbox) -> None:
    calls = async_mock_service(hass, "alarm_control_panel", "alarm_disarm")
    await automate(hass, "commands")
    await receive(hass, commanded, Reply(LI, "撤防"), Reply(LI, "撤防 111111"), Reply(LI, "撤防 厨房 482915"))
    assert not calls
    await receive(hass, commanded, Reply(LI, "撤防 482915"))
    await receive(hass, commanded, Reply(LI, "撤防 车库 482915"))
    assert len(calls) == 2
    assert [re.sub(r"\d\d:\d\d ", "", text) for _, text in sent(sandbox)] == ["已由Li撤防"] * 2


async def test_command_event_opens_the_door(
    hass: HomeAssistant, commanded: MockConfigEntry, switched: list[ServiceCall]
) -> None:
    await automate(hass, "command_event")
    await receive(hass, commanded, Reply(LI, "开门 111111"), Reply(LI, "开门 482915"))
    assert [call.data["entity_id"] for call in switched] == [["switch.door"]]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_command_event_has_the_documented_fields(
    hass: HomeAssistant, commanded: MockConfigEntry, language: str
) -> None:
    heard = async_capture_events(hass, const.EVENT_COMMAND)
    await receive(hass, commanded, Reply(LI, "开门 482915"))
    assert set(named(language, "command-event")) == heard[0].data.keys()


@pytest.mark.usefixtures("home")
async def test_history_example_lists_and_deletes_messages(hass: HomeAssistant) -> None:
    for data in ({"entity_id": "notify.li"}, {"number": NUMBER}):
        await hass.services.async_call("sms1680", "send_message", {"message": "后门打开", **data}, blocking=True)
    await run(hass, "history")
    assert notices(hass) == ["accepted"]
    left = await act(hass, "get_messages")
    assert isinstance(left, dict)
    assert [message["number"] for message in left["messages"]] == [LI]


async def test_cancel_example_takes_waiting_messages_back(hass: HomeAssistant, home: MockConfigEntry) -> None:
    await in_quiet_hours(hass, home)
    await act(hass, "send_message", entity_id="notify.li", message="后门打开")
    await run(hass, "cancel")
    assert (await act(hass, "get_messages"))["waiting"] == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_waiting_messages_have_the_documented_fields(
    hass: HomeAssistant, home: MockConfigEntry, language: str
) -> None:
    await in_quiet_hours(hass, home)
    await act(hass, "send_message", entity_id="notify.li", message="后门打开")
    [message] = (await act(hass, "get_messages"))["waiting"]
    assert message.keys() == set(named(language, "waiting"))
    [cancelled] = (await act(hass, "cancel_message", id=message["id"]))["messages"]
    assert cancelled.keys() == message.keys() - {"message"} | {"result"}
    assert named(language, "cancel-results") == list(CancelResult)


async def in_quiet_hours(hass: HomeAssistant, home: MockConfigEntry) -> None:
    """Give Li quiet hours that have begun."""
    li = next(one for one in home.subentries.values() if one.title == "Li")
    now = dt_util.utcnow()
    quiet = {"quiet_from": f"{now:%H:00:00}", "quiet_to": f"{now + timedelta(hours=2):%H:00:00}", "time_zone": "UTC"}
    hass.config_entries.async_update_subentry(home, li, data={**li.data, **quiet})
    await hass.async_block_till_done()


def configuration(name: str) -> dict[str, Any]:
    return yaml.safe_load(EXAMPLES[name].text)


async def test_recorder_excludes_the_events(
    hass: HomeAssistant,
    async_setup_recorder_instance: RecorderInstanceContextManager,
    add_home: Callable[[], Awaitable[MockConfigEntry]],
) -> None:
    instance = await async_setup_recorder_instance(hass, configuration("recorder")["recorder"])
    await add_home()
    text = "后门 打开"
    private = {const.EVENT_COMMAND, const.EVENT_DELAYED_MESSAGE, EVENT_MESSAGE_RECEIVED, EVENT_DELIVERY_REPORT}
    for event in (*private, "another"):
        hass.bus.async_fire(event, {"number": LI, "content": text})
    message = {"number": [NUMBER], "message": text}
    await hass.services.async_call("sms1680", "send_message", message, blocking=True)
    await async_wait_recording_done(hass)

    def recorded() -> dict[str, str]:
        """Return what is recorded of each type of event."""
        with session_scope(hass=hass, read_only=True) as session:
            found = session.query(EventTypes.event_type, EventData.shared_data).select_from(Events)
            found = found.join(EventTypes, Events.event_type_id == EventTypes.event_type_id)
            return dict(found.join(EventData, Events.data_id == EventData.data_id).all())

    events = await instance.async_add_executor_job(recorded)
    assert "another" in events
    assert not events.keys() & private
    # The page warns about this.
    assert text in events["call_service"]
    assert NUMBER in events["call_service"]


async def test_alert_sends_through_the_notify_platform(
    hass: HomeAssistant, add_home: Callable[[], Awaitable[MockConfigEntry]], sandbox: Sandbox
) -> None:
    settings = configuration("notify")
    for domain in settings:  # before the account, as when Home Assistant starts
        assert await async_setup_component(hass, domain, settings)
    await hass.async_block_till_done()
    await add_home()
    hass.states.async_set("binary_sensor.water", "on")
    await hass.async_block_till_done()
    assert sorted(sent(sandbox)) == sorted([(LI, "地下室水位过高"), (NUMBER, "地下室水位过高")])
    hass.states.async_set("binary_sensor.water", "off")
    await hass.async_block_till_done()


async def test_home_assistants_own_apprise_sends_with_the_package(
    hass: HomeAssistant, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sms1680.apprise import register

    account = sandbox.platform.config.accounts[0]
    settings = configuration("apprise")
    (line,) = settings["notify"]
    line["url"] = line["url"].replace("user:password", f"{account.username}:{account.password}")
    monkeypatch.setenv("http_proxy", sandbox.url)
    # The wheel contains a plugin file that an editable install lacks.
    assert await hass.async_add_executor_job(register)
    assert await async_setup_component(hass, "notify", settings)
    await hass.async_block_till_done()
    await hass.services.async_call("notify", "sms", {"message": "后门打开"}, blocking=True)
    assert sent(sandbox) == [(NUMBER, "Home Assistant\n后门打开")]


@pytest.mark.usefixtures("home")
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
async def test_push_example(hass: HomeAssistant, pushed: str) -> None:
    (example,) = all_examples("push")
    events = [async_capture_events(hass, event) for event in (EVENT_MESSAGE_RECEIVED, EVENT_DELIVERY_REPORT)]
    process = await asyncio.create_subprocess_exec(
        *("bash", "-e", "-c", example.text),
        env={**os.environ, "ADDRESS": pushed},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert printed == b"00"
    assert [len(one) for one in events] == [1, 1]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_events_have_the_documented_fields(hass: HomeAssistant, home: MockConfigEntry, language: str) -> None:
    heard = {event: async_capture_events(hass, event) for event in (EVENT_MESSAGE_RECEIVED, EVENT_DELIVERY_REPORT)}
    await receive(hass, home, Reply(LI, "1"), DeliveryReport("1", LI, "0"))
    for (event,), name in zip(heard.values(), ("message-event", "report-event"), strict=True):
        assert named(language, name) == list(event.data) or set(named(language, name)) == event.data.keys()
    via = dict(cells(table_of("message-event", language)))["`via`"]
    assert set(re.findall(r"`(\w+)`", via)) == {way.value for way in InboundSource}


@pytest.mark.parametrize("language", LANGUAGES)
def test_response_has_the_documented_fields(language: str, make_entry: MakeEntry) -> None:
    sent = DeliveryResult(Addressee(make_entry(), LI), Receipt(LI, Outcome.ACCEPTED))
    assert set(named(language, "response")) == sent.as_response().keys()
    outcomes = dict(cells(table_of("response", language)))["`outcome`"]
    assert set(re.findall(r"`(\w+)`", outcomes)) == {outcome.value for outcome in Outcome}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_for_a_missing_answer_is_documented(language: str) -> None:
    assert set(named(language, "question-reasons")) == {reason.value for reason in NoAnswer}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_yaml_key_is_documented(language: str) -> None:
    keys = {str(key) for key in yaml_notify._OWN_ACCOUNT} | {yaml_notify.CONF_ACCOUNT, yaml_notify.CONF_RECIPIENTS}
    assert set(named(language, "yaml-keys")) == keys | {"platform", "name"}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_message_history_has_the_documented_fields(
    hass: HomeAssistant, home: MockConfigEntry, language: str
) -> None:
    await send_text(home.runtime_data.client, LI, "后门 打开")
    await receive(hass, home, Reply(LI, "1"))
    answer = await act(hass, "get_messages")
    fields = {message["direction"]: message.keys() for message in answer["messages"]}
    both = fields["in"] & fields["out"]
    rows = list(cells(table_of("history", language)))
    words = {"en": ("both", "in", "out"), "zh": ("两者", "收到", "发出")}[language]
    for word, wanted in zip(words, (both, fields["in"] - both, fields["out"] - both), strict=True):
        assert {row[0].strip("`") for row in rows if row[1] == word} == wanted
    assert await act(hass, "purge_messages") == {"purged": 2}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_other_events_have_the_documented_fields(
    hass: HomeAssistant, home: MockConfigEntry, sandbox: Sandbox, freezer: FrozenDateTimeFactory, language: str
) -> None:
    names = {
        const.EVENT_COMMAND: "command-event",
        const.EVENT_DELAYED_MESSAGE: "delayed-event",
        const.EVENT_SPENDING_LIMIT: "spending-event",
        const.EVENT_MESSAGE_FAILED: "failed-event",
    }
    heard = {event: async_capture_events(hass, event) for event in names}
    sends = async_capture_events(hass, const.EVENT_MESSAGE_SENT)
    freezer.move_to("2026-05-01 23:00:00+00:00")
    li = next(one for one in home.subentries.values() if one.title == "Li")
    data = {**li.data, "commands": "pin", "pin": "482915", "quiet_from": "22:00:00", "quiet_to": "07:00:00"}
    hass.config_entries.async_update_subentry(home, li, data={**data, "time_zone": "UTC"})
    hass.config_entries.async_update_entry(home, options={"command_words": ["撤防"], "number_limit": 1})
    await hass.async_block_till_done(wait_background_tasks=True)
    await receive(hass, home, Reply(LI, "撤防 482915"))
    sandbox.platform.faults.next("failed")
    for number in (NUMBER, NUMBER, NUMBER, LI):
        given = {"number": number, "message": "后门 打开"}
        await act(hass, "send_message", **given)
    freezer.move_to("2026-05-02 07:00:01+00:00")
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=True)
    for event, name in names.items():
        assert {frozenset(named(language, name))} == {frozenset(one.data) for one in heard[event]}
    assert {frozenset(one.data) for one in sends} == {frozenset(named(language, "sent-event"))}


def named(language: str, name: str) -> list[str]:
    return [row[0].strip("`") for row in cells(table_of(name, language))]
