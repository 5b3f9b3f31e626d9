"""An account with CMPP only: it sends and receives over one connection, which closes with its entry."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from homeassistant.const import EVENT_HOMEASSISTANT_FINAL_WRITE, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er, issue_registry as ir
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    get_system_health_info,
)
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.sms1680 import const
from custom_components.sms1680.account import clients as account
from custom_components.sms1680.client.cmpp import CMPPClient
from custom_components.sms1680.inbound.models import NotAcceptedError
from custom_components.sms1680.inbound.receiver import InboundProcessor
from sms1680.cmpp.wire.reports import ReportContent
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, MakeEntry, SetUp, Until, act, notify, send_text, send_to_alice, sent

CONNECTED = "binary_sensor.home_connected"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses between connection attempts."""

    async def hurry(delay: float) -> None:
        await asyncio.sleep(min(delay, 0.02))

    monkeypatch.setattr(account, "CMPPClient", functools.partial(CMPPClient, sleep=hurry))


@pytest.fixture
async def entry(make_entry: MakeEntry, set_up: SetUp, hass: HomeAssistant, until: Until) -> MockConfigEntry:
    """An account without HTTP, connected."""
    made = make_entry(ways=("cmpp",))
    await set_up(made)
    await until(lambda: is_connected(hass))
    return made


def is_connected(hass: HomeAssistant) -> bool:
    state = hass.states.get(CONNECTED)
    return state is not None and state.state == "on"


def reason_of(hass: HomeAssistant, entity: str = CONNECTED) -> str | None:
    state = hass.states.get(entity)
    return state.attributes["reason"] if state else None


@pytest.mark.usefixtures("entry")
async def test_message_is_sent_and_its_report_received(hass: HomeAssistant, sandbox: Sandbox, until: Until) -> None:
    reports = async_capture_events(hass, const.EVENT_DELIVERY_REPORT)
    await notify(hass, "notify.alice", message="后门打开")
    assert sent(sandbox) == [(ALICE, "后门打开")]
    await until(lambda: reports)
    (report,) = reports
    assert (report.data["recipient"], report.data["state"], report.data["settled"]) == ("Alice", "delivered", True)
    await until(lambda: hass.states.get("event.alice_messages").attributes.get("event_type") == "delivered")
    await until(lambda: sandbox.cmpp.acknowledged == sandbox.cmpp.queued == 1)


@pytest.mark.usefixtures("entry")
async def test_multiline_uplink_arrives_unchanged(hass: HomeAssistant, sandbox: Sandbox, until: Until) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    await send_to_alice(hass, message="回复 1 关闭警报")
    uplink = sandbox.platform.reply(ALICE, "1\n谢谢")
    await until(lambda: uplink.push == "delivered")
    (message,) = messages
    assert (message.data["content"], message.data["via"], message.data["recipient"]) == ("1\n谢谢", "cmpp", "Alice")
    assert not message.data["redelivered"]
    state = hass.states.get("event.home_inbox")
    assert state is not None
    assert state.attributes["content"] == "1\n谢谢"


@pytest.mark.usefixtures("entry")
async def test_long_message_has_one_report(hass: HomeAssistant, sandbox: Sandbox) -> None:
    text = "水位过高，" * 40
    answer = await act(hass, "send_message", entity_id="notify.alice", message=text, wait_for_delivery={"seconds": 10})
    (message,) = answer["messages"]
    assert (message["outcome"], message["parts"], message["delivery"]["state"]) == ("accepted", 4, "delivered")
    assert sent(sandbox) == [(ALICE, text)]


@pytest.mark.parametrize(
    ("stats", "states"),
    [
        (("DELIVRD", "DELIVRD", "DELIVRD"), ["delivered"]),
        (("DELIVRD", "DELIVRD", "UNDELIV"), ["failed"]),
        (("UNDELIV", "DELIVRD", "DELIVRD"), ["failed"]),
        (("ACCEPTD", "ACCEPTD", "DELIVRD"), ["pending"]),
    ],
)
async def test_reports_of_a_long_message_fire_once_even_after_a_restart(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    sandbox: Sandbox,
    until: Until,
    *,
    stats: tuple[str, ...],
    states: list[str],
) -> None:
    reports = async_capture_events(hass, const.EVENT_DELIVERY_REPORT)
    sandbox.platform.phone(ALICE).report_status = None
    (receipt,) = await send_text(entry.runtime_data.client, [ALICE], "水位过高，" * 30)
    assert len(receipt.message_ids) == len(stats)
    for count, (message_id, stat) in enumerate(zip(receipt.message_ids, stats, strict=True), 1):
        content = ReportContent(msg_id=int(message_id), stat=stat, dest_terminal_id=ALICE)
        sandbox.cmpp.reports.deliver("homeuser", content)
        await until(lambda count=count: sandbox.cmpp.acknowledged == count)
        if count == 1:
            state = "failed" if stat == "UNDELIV" else "pending"
            assert hass.states.get("sensor.alice_last_delivery_state").state == state
            assert await hass.config_entries.async_reload(entry.entry_id)
            await until(lambda: is_connected(hass))
    assert [report.data["state"] for report in reports] == states
    assert [report.data["settled"] for report in reports] == [states != ["pending"]]
    assert {report.data["message_id"] for report in reports} == {receipt.message_id}


@pytest.mark.usefixtures("entry")
async def test_long_uplink_arrives_complete_with_its_extension(
    hass: HomeAssistant, sandbox: Sandbox, until: Until
) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    sandbox.platform.reply(ALICE, "好的，" * 100, extension="12", username="homeuser")
    await until(lambda: messages)
    (message,) = messages
    assert (message.data["content"], message.data["extension"]) == ("好的，" * 100, "12")


@pytest.mark.usefixtures("entry")
async def test_template_is_filled_in_by_the_client(hass: HomeAssistant, sandbox: Sandbox) -> None:
    rows = [{"entity_id": "notify.alice", "values": ["李先生"]}, {"number": "13911000000", "values": ["王先生"]}]
    answer = await act(hass, "send_template", template="{A}，后门打开，{PHONE}", rows=rows)
    assert [message["outcome"] for message in answer["messages"]] == ["accepted", "accepted"]
    assert all(message["message_id"] for message in answer["messages"])
    assert sent(sandbox) == [
        (ALICE, f"李先生，后门打开，{ALICE}"),
        ("13911000000", "王先生，后门打开，13911000000"),
    ]


@pytest.mark.usefixtures("entry")
async def test_cmpp_accepts_the_separators_of_http_forms(hass: HomeAssistant, sandbox: Sandbox) -> None:
    rows = [{"number": ALICE, "values": ["后门, 前门; 窗"]}]
    answers = [
        await act(hass, "send_template", template="{A} 打开", rows=rows),
        await act(hass, "send_batch", messages=[{"number": ALICE, "message": "水|电 = $5"}]),
    ]
    assert [answer["messages"][0]["outcome"] for answer in answers] == ["accepted", "accepted"]
    assert sent(sandbox) == [(ALICE, "后门, 前门; 窗 打开"), (ALICE, "水|电 = $5")]


async def test_account_with_http_can_reject_the_separators_of_http_forms(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp
) -> None:
    entry = make_entry(ways=("http", "cmpp"))
    await set_up(entry)
    hass.config_entries.async_update_entry(entry, options={**entry.options, "single_rows": False})
    await hass.async_block_till_done()
    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "send_batch", messages=[{"number": ALICE, "message": "水|电 = $5"}])
    assert "$" in (caught.value.translation_placeholders or {})["problem"]
    with pytest.raises(ServiceValidationError):
        await act(hass, "send_template", template="{A}", rows=[{"number": ALICE, "values": ["a,b"]}])


@pytest.mark.usefixtures("entry")
async def test_account_without_http_has_no_balance(hass: HomeAssistant) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        await act(hass, "get_balance")
    assert (caught.value.translation_key, caught.value.translation_placeholders) == ("no_http", {"account": "Home"})
    assert hass.states.get("sensor.home_balance") is None
    assert hass.states.get("binary_sensor.home_low_balance") is None
    assert (await act(hass, "estimate", message="后门打开"))["parts"] == 1


@pytest.mark.usefixtures("entry")
async def test_refused_message_raises_a_translated_error(hass: HomeAssistant, sandbox: Sandbox) -> None:
    with pytest.raises(HomeAssistantError) as caught:
        await hass.services.async_call(
            "sms1680", "send_message", {"entity_id": "notify.alice", "message": "代开发票"}, blocking=True
        )
    assert caught.value.translation_key == "outcome_refused"
    with pytest.raises(ServiceValidationError) as wrong:
        await act(hass, "send_message", number=[ALICE], message="x", extension="1" * 12)
    assert "24" in (wrong.value.translation_placeholders or {})["problem"]
    assert sent(sandbox) == []


async def test_setup_succeeds_without_the_network(hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp) -> None:
    await set_up(make_entry(ways=("cmpp",), cmpp={"port": 1}))
    for entity in ("notify.alice", "event.home_inbox", CONNECTED):
        state = hass.states.get(entity)
        assert state is not None
        assert state.state != "unavailable"


@pytest.mark.usefixtures("entry")
async def test_platform_restart_loses_nothing(hass: HomeAssistant, sandbox: Sandbox, until: Until) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    sandbox.cmpp.down = 0.05
    sandbox.cmpp.restart_soon()
    await until(lambda: not is_connected(hass))
    assert reason_of(hass) == "no_connection"
    assert reason_of(hass, "binary_sensor.home_can_send") == "no_connection"
    sandbox.platform.reply(ALICE, "1", extension="", username="homeuser")
    assert (await send_to_alice(hass, message="后门打开"))["outcome"] == "accepted"
    await until(lambda: messages and is_connected(hass))
    assert [message.data["content"] for message in messages] == ["1"]
    assert reason_of(hass, "binary_sensor.home_can_send") is None
    assert sent(sandbox) == [(ALICE, "后门打开")]


async def test_changed_recipient_does_not_reconnect(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox
) -> None:
    (line,) = sandbox.cmpp.connections
    alice = next(subentry for subentry in entry.subentries.values() if subentry.title == "Alice")
    hass.config_entries.async_update_subentry(entry, alice, title="Ann")
    await hass.async_block_till_done()
    assert sandbox.cmpp.connections == {line}
    assert is_connected(hass)


async def test_unload_reports_messages_in_flight_as_unknown(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CMPPClient.aclose, "__defaults__", (0.1,))
    monkeypatch.setattr("custom_components.sms1680._DRAIN_TIMEOUT", 0.1)
    sandbox.cmpp.faults.next("lost_answer")
    sending = asyncio.create_task(send_to_alice(hass, message="后门打开"))
    await until(lambda: sent(sandbox))
    assert await hass.config_entries.async_unload(entry.entry_id)
    message = await sending
    assert (message["outcome"], message["reason"]) == ("unknown", "lost")
    await until(lambda: not sandbox.cmpp.connections)


@pytest.mark.usefixtures("entry")
async def test_shutdown_closes_the_connection(hass: HomeAssistant, sandbox: Sandbox, until: Until) -> None:
    hass.bus.async_fire(EVENT_HOMEASSISTANT_FINAL_WRITE)
    await until(lambda: not is_connected(hass))
    assert not sandbox.cmpp.connections
    assert reason_of(hass) is None
    assert (await send_to_alice(hass, message="太迟"))["outcome"] == "not_sent"


@pytest.mark.usefixtures("entry")
async def test_message_during_shutdown_is_sent(hass: HomeAssistant, sandbox: Sandbox, until: Until) -> None:
    answers: list[dict[str, Any]] = []

    async def say_goodbye(_: Event) -> None:
        answers.append(await send_to_alice(hass, message="家里断电，正在关机"))
        hass.bus.async_fire("said_goodbye")  # `until` looks at each event

    hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, say_goodbye)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await until(lambda: answers)
    assert [answer["outcome"] for answer in answers] == ["accepted"]
    assert sent(sandbox) == [(ALICE, "家里断电，正在关机")]


@pytest.mark.usefixtures("entry")
async def test_unstored_uplink_is_not_acknowledged(
    hass: HomeAssistant, sandbox: Sandbox, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)
    receive = InboundProcessor.async_receive
    asked: list[str] = []

    async def refuse_once(receiver: InboundProcessor, item: Any, *rest: Any) -> Any:
        asked.append(item.content)
        if len(asked) == 1:
            raise NotAcceptedError
        return await receive(receiver, item, *rest)

    monkeypatch.setattr(InboundProcessor, "async_receive", refuse_once)
    sandbox.cmpp.resend = 0.1
    uplink = sandbox.platform.reply(ALICE, "1", extension="", username="homeuser")
    await until(lambda: uplink.push == "delivered")
    assert asked == ["1", "1"]
    assert len(messages) == 1


async def test_suspension_while_connected_raises_a_repair(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, until: Until
) -> None:
    state = sandbox.platform.accounts["homeuser"]
    right, state.config = state.config, replace(state.config, suspended=True)
    answer = await send_to_alice(hass, message="后门打开")
    assert (answer["outcome"], answer["reason"]) == ("not_sent", "suspended")
    assert reason_of(hass, "binary_sensor.home_can_send") == "suspended"
    issue = ("sms1680", f"suspended_{entry.entry_id}")
    assert ir.async_get(hass).async_get_issue(*issue)
    state.config = right
    assert (await send_to_alice(hass, message="后门打开"))["outcome"] == "accepted"
    await until(lambda: hass.states.get("binary_sensor.home_can_send").state == "on")
    assert ir.async_get(hass).async_get_issue(*issue) is None


class TestRefusedLogins:
    """The platform refuses logins. Each reason has its own repair, deleted after the next login."""

    @pytest.mark.parametrize(
        ("change", "reason", "issue"),
        [
            ({"suspended": True}, "suspended", "connection_suspended"),
            ({"cmpp_connections": 0}, "suspended", "connection_suspended"),
            ({"networks": ("203.0.113.0/24",)}, "ip", "connection_ip"),
        ],
    )
    async def test_refused_login_raises_and_deletes_a_repair(
        self,
        hass: HomeAssistant,
        make_entry: MakeEntry,
        set_up: SetUp,
        sandbox: Sandbox,
        until: Until,
        *,
        change: dict[str, Any],
        reason: str,
        issue: str,
    ) -> None:
        state = sandbox.platform.accounts["homeuser"]
        right, state.config = state.config, replace(state.config, **change)
        entry = make_entry(ways=("cmpp",))
        await set_up(entry)
        issues = ir.async_get(hass)
        await until(lambda: issues.async_get_issue("sms1680", f"{issue}_{entry.entry_id}"))
        assert (reason_of(hass), is_connected(hass)) == (reason, False)
        assert reason_of(hass, "binary_sensor.home_can_send") == reason
        state.config = right
        await until(lambda: is_connected(hass))
        assert not [one for one in issues.issues.values() if one.domain == "sms1680"]
        assert reason_of(hass, "binary_sensor.home_can_send") is None

    async def test_wrong_password_starts_reauthentication(
        self, hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, until: Until
    ) -> None:
        entry = make_entry(ways=("cmpp",), cmpp={"password": "not it"})
        await set_up(entry)
        await until(lambda: hass.config_entries.flow.async_progress_by_handler("sms1680"))
        (flow,) = hass.config_entries.flow.async_progress_by_handler("sms1680")
        assert (flow["context"]["source"], flow["step_id"]) == ("reauth", "reauth_cmpp")
        assert reason_of(hass) == "authentication"
        answer = await send_to_alice(hass, message="后门打开")
        assert (answer["outcome"], answer["reason"]) == ("refused", "authentication")
        result = await hass.config_entries.flow.async_configure(flow["flow_id"], {"password": "still wrong"})
        assert result["errors"] == {"base": "cmpp_auth"}
        result = await hass.config_entries.flow.async_configure(flow["flow_id"], {"password": "s3cret-Passw0rd"})
        assert result["reason"] == "reauth_successful"
        await until(lambda: is_connected(hass))
        assert (await send_to_alice(hass, message="后门打开"))["outcome"] == "accepted"


async def test_pdu_log_contains_no_number_and_no_text(
    hass: HomeAssistant, entry: MockConfigEntry, sandbox: Sandbox, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "custom_components.sms1680")
    assert await hass.config_entries.async_reload(entry.entry_id)
    await until(lambda: is_connected(hass))
    await send_to_alice(hass, message="后门打开")
    uplink = sandbox.platform.reply(ALICE, "好的")
    await until(lambda: uplink.push == "delivered")
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("cmpp_wire")]
    assert {line.split()[1] for line in lines} >= {"CONNECT", "CONNECT_RESP", "SUBMIT", "SUBMIT_RESP", "DELIVER"}
    hidden = [secret.encode().hex() for secret in (ALICE, "106900001680", "901680")]
    hidden += [text.encode("utf-16-be").hex() for text in ("后门打开", "好的")]
    assert not [line for line in lines if any(octets in line for octets in hidden)]


async def test_removing_a_transport_removes_its_entities(
    hass: HomeAssistant, make_entry: MakeEntry, set_up: SetUp, until: Until
) -> None:
    entry = make_entry(ways=("http", "cmpp"))
    await set_up(entry)
    await until(lambda: is_connected(hass))
    entities = er.async_get(hass)
    assert entities.async_get("sensor.home_balance")
    assert entities.async_get(CONNECTED)
    both = dict(entry.data)
    hass.config_entries.async_update_entry(entry, data={name: both[name] for name in both if name != "http"})
    await until(lambda: is_connected(hass) and entities.async_get("sensor.home_balance") is None)
    assert entities.async_get("binary_sensor.home_low_balance") is None
    hass.config_entries.async_update_entry(entry, data={name: both[name] for name in both if name != "cmpp"})
    await until(lambda: hass.states.get("sensor.home_balance") is not None)
    assert entities.async_get(CONNECTED) is None


async def test_options_depend_on_the_transport(hass: HomeAssistant, entry: MockConfigEntry, until: Until) -> None:
    result = await hass.config_entries.options.async_init(entry.entry_id)
    result = await hass.config_entries.options.async_configure(result["flow_id"], {"next_step_id": "sending"})
    schema = result["data_schema"]
    assert schema is not None
    assert {"single_rows", "packet_size"}.isdisjoint(map(str, schema.schema))
    assert "proxy" in map(str, schema.schema)
    await hass.config_entries.options.async_configure(result["flow_id"], {"signature": "新签名"})
    await until(lambda: is_connected(hass))
    assert entry.options["signature"] == "新签名"


async def test_diagnostics_show_the_connection_but_no_secret(
    hass: HomeAssistant, entry: MockConfigEntry, hass_client: ClientSessionGenerator
) -> None:
    assert await async_setup_component(hass, "diagnostics", {})
    response = await (await hass_client()).get(f"/api/diagnostics/config_entry/{entry.entry_id}")
    diagnostics = await response.json()
    nothing = {"reason": None, "status": None, "detail": None, "retry_in": None}
    assert diagnostics["data"]["connection"] == {"connected": True, **nothing}
    assert diagnostics["data"]["balance"] is None
    own = diagnostics["data"]["entry"]["data"]["cmpp"]
    assert {name for name, value in own.items() if value == "**REDACTED**"} == own.keys() - {"port", "service_id"}
    text = json.dumps(diagnostics)
    assert not [secret for secret in ("s3cret-Passw0rd", "901680", "106900001680", ALICE) if secret in text]


@pytest.mark.usefixtures("entry")
async def test_system_health_counts_connections(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, "system_health", {})
    await hass.async_block_till_done()
    info = await get_system_health_info(hass, "sms1680")
    assert (info["accounts"], info["connections"]) == ("1/1", "1/1")
    assert "gateway_reachable" not in info
