"""The YAML notify platform: validated at startup, resolved when sending, and usable by `alert:`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError, Unauthorized
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser, async_capture_events

from custom_components.sms1680 import const
from sms1680.sandbox import Sandbox
from tests.home_assistant.helpers import ALICE, BOB, PASSWORD, SIGNED, STRANGER, SetUp, numbers


@pytest.fixture
def own(sandbox: Sandbox) -> dict[str, Any]:
    """Return an entry with account keys."""
    return {
        "platform": "sms1680",
        "name": "alarm sms",
        "username": "homeuser",
        "password": PASSWORD,
        "product_id": 61341,
        "gateway": sandbox.url,
        "signature": "某某科技",
        "recipients": "138 0000 0001",
    }


LINE = {"platform": "sms1680", "name": "alarm sms", "account": "Home", "recipients": ["Alice", BOB]}


async def read(hass: HomeAssistant, *lines: dict[str, Any]) -> None:
    assert await async_setup_component(hass, "notify", {"notify": list(lines)})
    await hass.async_block_till_done()


async def notify(hass: HomeAssistant, message: str = "门开了", **data: Any) -> None:
    await hass.services.async_call("notify", "alarm_sms", {"message": message, **data}, blocking=True)


async def test_configured_account_is_looked_up_when_sending(
    hass: HomeAssistant, make_entry: Callable[..., MockConfigEntry], set_up: SetUp, sandbox: Sandbox
) -> None:
    await read(hass, LINE)
    with pytest.raises(ServiceValidationError, match="account Home does not exist"):
        await notify(hass)
    entry = make_entry()
    with pytest.raises(ServiceValidationError, match="Home is not loaded"):
        await notify(hass)
    await set_up(entry)
    await notify(hass)
    assert numbers(sandbox) == [ALICE, BOB]
    second = make_entry(title="Home", http={"product_id": "other"}, webhook_id="w", push_secret="p")
    with pytest.raises(ServiceValidationError, match="several accounts have the name Home"):
        await notify(hass)
    assert second.title == "Home"


class TestConfiguredAccount:
    """An entry with the title of a configured account."""

    @pytest.fixture
    def line(self) -> dict[str, Any]:
        return LINE

    @pytest.fixture(autouse=True)
    async def _up(
        self,
        hass: HomeAssistant,
        make_entry: Callable[..., MockConfigEntry],
        set_up: SetUp,
        line: dict[str, Any],
    ) -> None:
        await read(hass, line)
        await set_up(make_entry())

    async def test_targets_of_the_call_replace_the_recipients(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        await notify(hass, target=["Bob", STRANGER])
        assert numbers(sandbox) == [BOB, STRANGER]

    @pytest.mark.parametrize("line", [{"platform": "sms1680", "name": "alarm sms", "account": "Home"}])
    async def test_missing_target_is_an_error(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        with pytest.raises(ServiceValidationError, match="has no recipient"):
            await notify(hass)
        with pytest.raises(ServiceValidationError, match="has no recipient"):
            await notify(hass, target=[])
        with pytest.raises(ServiceValidationError, match="not a mainland mobile number"):
            await notify(hass, target=["Carol", "138"])
        assert not sandbox.platform.messages

    async def test_data_and_title_are_used(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        at = (dt_util.now() + timedelta(days=1)).isoformat()
        await notify(hass, title="警报", target="Alice", data={"at": at, "extension": "012", "priority": "critical"})
        (message,) = sandbox.platform.messages
        assert (message.text, message.extension, message.state.value) == (
            "【某某科技】警报\n门开了",
            "012",
            "scheduled",
        )

    @pytest.mark.parametrize("target", [["Alice", ALICE], [ALICE, "Alice"], ["Alice", "Alice"], [ALICE, f"+86{ALICE}"]])
    async def test_duplicate_target_gets_one_message(
        self, hass: HomeAssistant, sandbox: Sandbox, target: list[str]
    ) -> None:
        (entry,) = hass.config_entries.async_entries("sms1680")
        alice = entry.subentries["alice"]
        hass.config_entries.async_update_subentry(entry, alice, data={"number": ALICE, "extension": "7"})
        await hass.async_block_till_done()
        await notify(hass, target=target)
        extension = "7" if "Alice" in target else ""
        assert [(message.number, message.extension) for message in sandbox.platform.messages] == [(ALICE, extension)]

    async def test_settings_of_a_recipient_apply_to_its_number(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        (entry,) = hass.config_entries.async_entries("sms1680")
        all_day = {"quiet_from": "00:00:00", "quiet_to": "23:59:59"}
        hass.config_entries.async_update_subentry(entry, entry.subentries["alice"], data={"number": ALICE, **all_day})
        await hass.async_block_till_done()
        await notify(hass, target=[ALICE, "Alice"])
        assert not sandbox.platform.messages

    async def test_ambiguous_name_is_rejected(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        (entry,) = hass.config_entries.async_entries("sms1680")
        hass.config_entries.async_update_subentry(entry, entry.subentries["bob"], title="Alice")
        await hass.async_block_till_done()
        with pytest.raises(ServiceValidationError, match="several recipients of the account Home have the name Alice"):
            await notify(hass, target="Alice")
        assert not sandbox.platform.messages

    @pytest.mark.parametrize(("target", "may"), [(None, True), (["Alice"], True), ([STRANGER], False)])
    async def test_user_can_send_only_to_the_recipients_of_the_entry(
        self, hass: HomeAssistant, sandbox: Sandbox, target: list[str] | None, *, may: bool
    ) -> None:
        user = MockUser().add_to_hass(hass)
        user.mock_policy({"entities": True})
        data = {"message": "x", **({"target": target} if target else {})}
        call = hass.services.async_call("notify", "alarm_sms", data, blocking=True, context=Context(user_id=user.id))
        if may:
            await call
        else:
            with pytest.raises(Unauthorized):
                await call
        assert bool(sandbox.platform.messages) is may

    async def test_failure_is_an_error(self, hass: HomeAssistant) -> None:
        with pytest.raises(HomeAssistantError, match=r"Alice 138\*\*\*\*0001: refused"):
            await notify(hass, "发票")

    async def test_alert_sends_when_it_starts_and_ends(self, hass: HomeAssistant, sandbox: Sandbox) -> None:
        alert = {
            "name": "Back door",
            "entity_id": "input_boolean.door",
            "state": "on",
            "repeat": 30,
            "title": "后门",
            "message": "开了",
            "done_message": "关了",
            "notifiers": ["alarm_sms"],
        }
        hass.states.async_set("input_boolean.door", "off")
        assert await async_setup_component(hass, "alert", {"alert": {"back_door": alert}})
        for state in ("on", "off"):
            hass.states.async_set("input_boolean.door", state)
            await hass.async_block_till_done()
        assert [message.text for message in sandbox.platform.messages if message.number == ALICE] == [
            "【某某科技】后门\n开了",
            "【某某科技】后门\n关了",
        ]


class TestOwnAccount:
    """An entry with account keys, without any config entry."""

    @pytest.mark.parametrize("form", ["plain", "md5"])
    async def test_account_keys_send_without_an_entry(
        self, hass: HomeAssistant, own: dict[str, Any], sandbox: Sandbox, form: str
    ) -> None:
        if form == "md5":
            del own["password"]
            own["password_md5"] = hashlib.md5(PASSWORD.encode()).hexdigest()
        await read(hass, own)
        await notify(hass)
        await notify(hass, target=[BOB], data={"extension": "7"})
        assert [(message.number, message.text, message.extension) for message in sandbox.platform.messages] == [
            (ALICE, "【某某科技】门开了", ""),
            (BOB, "【某某科技】门开了", "7"),
        ]

    async def test_message_over_its_limit_is_reported(
        self, hass: HomeAssistant, own: dict[str, Any], sandbox: Sandbox
    ) -> None:
        failed = async_capture_events(hass, const.EVENT_MESSAGE_FAILED)
        await read(hass, {**own, "hourly_limit": 1})
        await notify(hass)
        with pytest.raises(HomeAssistantError):
            await notify(hass)
        assert [(event.data["number"], event.data["reason"]) for event in failed] == [(ALICE, "hourly_limit")]
        assert numbers(sandbox) == [ALICE]

    async def test_messages_over_its_limit_are_announced_and_counted(
        self, hass: HomeAssistant, own: dict[str, Any], sandbox: Sandbox, freezer: FrozenDateTimeFactory
    ) -> None:
        await read(hass, {**own, "number_limit": 2})
        await notify(hass, "水浸")
        await notify(hass, "门开")
        for _ in range(3):
            with pytest.raises(HomeAssistantError):
                await notify(hass, "烟雾")
        await notify(hass, "煤气", data={"priority": "critical"})
        freezer.tick(601)
        await notify(hass, "停电")
        assert [message.text.removeprefix(SIGNED) for message in sandbox.platform.messages] == [
            "水浸",
            "门开（其后 10 分钟的告警将汇总）",
            "煤气",
            "此前 3 条未单独发送。停电",
        ]

    async def test_failed_message_raises(self, hass: HomeAssistant, own: dict[str, Any], sandbox: Sandbox) -> None:
        await read(hass, own)
        with pytest.raises(HomeAssistantError, match="refused by the platform"):
            await notify(hass, "发票")
        with pytest.raises(ServiceValidationError, match="not a mainland mobile number"):
            await notify(hass, target=["Alice"])
        assert not sandbox.platform.messages

    @pytest.mark.parametrize(
        ("change", "key"),
        [
            ({"password": None}, "password"),
            ({"password": hashlib.md5(PASSWORD.encode()).hexdigest()}, "password"),
            ({"password": None, "password_md5": "abc"}, "password"),
            ({"username": None}, "username"),
            ({"product_id": None}, "product_id"),
            ({"gateway": f"http://me:{PASSWORD}@127.0.0.1"}, "gateway"),
            ({"signature": "【】"}, "signature"),
            ({"recipients": ["Alice"]}, "recipients"),
            ({"rate": 0}, "rate"),
            ({"packet_size": 1001}, "packet_size"),
            ({"proxy": "nonsense"}, "proxy"),
            ({"proxy": f"http://me:{PASSWORD}@[::1"}, "proxy"),
            ({"proxy": f"http://me:{PASSWORD}@a b:1"}, "proxy"),
            ({"proxy": f"socks4://me:{PASSWORD}@127.0.0.1:1"}, "proxy"),
            ({"account": "Home"}, "gateway"),
            ({"colour": "red"}, "colour"),
        ],
    )
    async def test_invalid_entry_is_dropped_and_its_key_is_named(
        self,
        hass: HomeAssistant,
        own: dict[str, Any],
        caplog: pytest.LogCaptureFixture,
        change: dict[str, Any],
        key: str,
    ) -> None:
        good = {**own, "name": "good"}
        own.update(change)
        await read(hass, {name: value for name, value in own.items() if value is not None}, good)
        assert not hass.services.has_service("notify", "alarm_sms")
        assert hass.services.has_service("notify", "good")
        (line,) = [record.getMessage() for record in caplog.records if "Invalid config" in record.getMessage()]
        assert f"'{key}'" in line
        assert PASSWORD not in line
        assert hashlib.md5(PASSWORD.encode()).hexdigest() not in caplog.text

    async def test_missing_account_is_named(self, hass: HomeAssistant, caplog: pytest.LogCaptureFixture) -> None:
        await read(hass, {"platform": "sms1680", "name": "alarm sms", "recipients": ALICE})
        assert "'account': is missing" in caplog.text
