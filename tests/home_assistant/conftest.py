"""Fixtures of the integration's tests: a sandbox on loopback, and its account with two recipients."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import re
import sys
from asyncio.base_events import Server
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.auth.models import Credentials, User
from homeassistant.auth.permissions import PolicyPermissions
from homeassistant.components.repairs import RepairsFlow
from homeassistant.config_entries import (
    ConfigEntryState,
    ConfigSubentryDataWithId,
    ConfigSubentryFlow,
    OptionsFlow,
)
from homeassistant.const import CONF_HOST, CONF_PASSWORD, CONF_PORT, CONF_USERNAME, CONF_WEBHOOK_ID, MATCH_ALL
from homeassistant.core import Event, HomeAssistant, ServiceCall, callback
from homeassistant.data_entry_flow import FlowHandler, section
from homeassistant.helpers.entity import Entity
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_capture_events, async_mock_service
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator, WebSocketGenerator
from support.log_watch import LogWatch

# Home Assistant's test helper adds a package of this name when it creates `hass`, so import ours first.
sys.path.insert(0, str(Path(__file__).parents[2]))

from custom_components.sms1680 import const
from custom_components.sms1680.account import clients as account
from custom_components.sms1680.client import AsyncClient, push
from custom_components.sms1680.flows.validation import account_id
from custom_components.sms1680.inbound.receiver import InboundProcessor
from custom_components.sms1680.inbound.registry import async_get_registry
from custom_components.sms1680.outbound import pipeline
from sms1680.sandbox import Account, Config, Sandbox
from tests.home_assistant.helpers import (
    ALICE,
    BOB,
    EVENING,
    PASSWORD,
    PRODUCT,
    PUSH_SECRET,
    QUIET,
    SOURCE_NUMBER,
    SP_ID,
    UNREACHABLE,
    USERNAME,
    WEBHOOK_ID,
    Ask,
    Connect,
    MakeEntry,
    MakeUser,
    SetUp,
    Until,
    recipient,
    set_up_entry,
    use_gateway,
)


@pytest.fixture(autouse=True)
def _integrations(enable_custom_integrations: None) -> None: ...


@pytest.fixture(autouse=True)
def _own_folder(hass: HomeAssistant, tmp_path: Path) -> None:
    """Return a configuration folder for this test alone, because it contains the message store."""
    folder = tmp_path / "config"
    folder.mkdir()
    hass.config.config_dir = str(folder)


@pytest.fixture(autouse=True)
def _texts_stay_out_of_logs(log_watch: LogWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the check of the logs know the texts of calls and pushes."""
    monkeypatch.setattr(push.Reply, "__init__", log_watch.watching(push.Reply.__init__, "content"))
    create = ServiceCall.__init__

    @functools.wraps(create)
    def watched(call: ServiceCall, *args: Any, **kwargs: Any) -> None:
        create(call, *args, **kwargs)
        for text in _texts(call.data):
            log_watch.add_text(text)

    monkeypatch.setattr(ServiceCall, "__init__", watched)


def _texts(data: Any) -> Iterator[Any]:
    """Yield the texts of messages in the data of a call."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            if name in {"message", "title", "safe_text", "template", "values", "question"}:
                yield value
            else:
                yield from _texts(value)
    elif isinstance(data, list):
        for item in data:
            yield from _texts(item)


@pytest.fixture(autouse=True)
def _loopback(socket_enabled: None) -> None:
    """Allow sockets: tests use a real sandbox, and the test helper permits only loopback."""


@pytest.fixture(autouse=True)
def _wait_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Home Assistant does not wait for cancelled tasks, and a connecting task briefly looks cancelled."""
    monkeypatch.setattr("homeassistant.core.cancelling", lambda _: False)


@pytest.fixture(autouse=True)
def _closing_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python asserts that a server is open when it accepts a connection, but it can be closing.

    It also fails if the last connection of a server that is already closed ends after the others.
    """
    attach, wake = Server._attach, Server._wakeup

    def attach_if_open(server: Any, transport: object) -> None:
        if server._sockets is not None:
            attach(server, transport)

    def wake_once(server: Any) -> None:
        if server._waiters is not None:
            wake(server)

    monkeypatch.setattr(Server, "_attach", attach_if_open)
    monkeypatch.setattr(Server, "_wakeup", wake_once)


@pytest.fixture(autouse=True)
def _texts_of_dialogs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that every form shown by a test is translated."""
    texts = json.loads((Path(const.__file__).parent / "translations" / "en.json").read_text("utf-8"))
    for name in ("async_show_form", "async_show_menu", "async_show_progress", "async_abort", "async_create_entry"):
        monkeypatch.setattr(FlowHandler, name, _looked_at(getattr(FlowHandler, name), texts))


def _looked_at(method: Callable[..., Any], texts: dict[str, Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(flow: FlowHandler[Any], *args: Any, **shown: Any) -> Any:
        if type(flow).__module__.startswith("custom_components.sms1680"):
            _look(flow, shown, texts)
        return method(flow, *args, **shown)

    return call


def _look(flow: FlowHandler[Any], shown: dict[str, Any], texts: dict[str, Any]) -> None:
    part = texts["config"]
    if isinstance(flow, OptionsFlow):
        part = texts["options"]
    elif isinstance(flow, ConfigSubentryFlow):
        part = texts["config_subentries"][flow.handler[1]]
    elif isinstance(flow, RepairsFlow):
        kind = next(
            key for key, text in texts["issues"].items() if "fix_flow" in text and flow.issue_id.startswith(key)
        )
        part = texts["issues"][kind]["fix_flow"]
    given = set(shown.get("description_placeholders") or {})
    texts_to_fill = [part["abort"][shown["reason"]]] if "reason" in shown else []
    texts_to_fill += [part["create_entry"][shown["description"]]] if shown.get("description") else []
    texts_to_fill += [part["error"][error] for error in (shown.get("errors") or {}).values()]
    texts_to_fill += [part["progress"][shown["progress_action"]]] if "progress_action" in shown else []
    if "menu_options" in shown:
        assert set(shown["menu_options"]) <= part["step"][shown["step_id"]]["menu_options"].keys()
    if "data_schema" in shown:
        step = part["step"][shown["step_id"]]
        texts_to_fill += [step["title"], step.get("description", "")]
        fields = shown["data_schema"].schema
        sections = {str(name): value.schema.schema for name, value in fields.items() if isinstance(value, section)}
        _check_fields({name: value for name, value in fields.items() if str(name) not in sections}, step, texts)
        for name, inner in sections.items():
            assert step["sections"][name]["name"]
            _check_fields(inner, step["sections"][name], texts)
    for text in texts_to_fill:
        assert set(re.findall(r"\{(\w+)\}", text)) <= given, text


def _check_fields(fields: dict[Any, Any], step: dict[str, Any], texts: dict[str, Any]) -> None:
    assert {str(field) for field in fields} <= step.get("data", {}).keys() == step.get("data_description", {}).keys()
    for selector in fields.values():
        if key := selector.config.get("translation_key"):
            assert set(selector.config["options"]) == texts["selector"][key]["options"].keys()


@pytest.fixture(autouse=True)
def _nothing_that_home_assistant_warns_of(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which Home Assistant reports wrong or deprecated use by the integration."""
    yield
    for phase in ("setup", "call"):
        for record in caplog.get_records(phase):
            line = record.getMessage()
            assert "Detected that" not in line, line
            assert not ("sms1680" in line and re.search("deprecated|will (be removed|stop working|break) in", line)), (
                line
            )


@pytest.fixture
def all_entities_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enable the entities that are disabled by default."""
    monkeypatch.setattr(Entity, "entity_registry_enabled_default", property(lambda _: True))


@pytest.fixture
def sandbox_config() -> Config:
    """Return the sandbox's configuration. A test file can override it."""
    home = Account(USERNAME, PASSWORD, products={PRODUCT: 1000})
    second = Account("second", PASSWORD, products={PRODUCT: 1000}, sp_id="")
    return Config(accounts=(home, second), report_delay=0.0, cmpp_port=0)


@pytest.fixture
async def sandbox(sandbox_config: Config) -> AsyncIterator[Sandbox]:
    """Run a sandbox platform on loopback."""
    async with Sandbox(sandbox_config) as box:
        yield box


@pytest.fixture
def make_entry(sandbox: Sandbox, hass: HomeAssistant) -> MakeEntry:
    """Return a function that adds an account at the sandbox with Alice and Bob, without setting it up."""

    def make(
        *,
        title: str = "Home",
        options: dict[str, Any] | None = None,
        http: dict[str, Any] | None = None,
        cmpp: dict[str, Any] | None = None,
        ways: tuple[str, ...] = (const.CONF_HTTP,),
        recipients: list[ConfigSubentryDataWithId] | None = None,
        webhook_id: str = WEBHOOK_ID,
        push_secret: str = PUSH_SECRET,
    ) -> MockConfigEntry:
        known = {
            const.CONF_HTTP: {
                CONF_USERNAME: USERNAME,
                const.CONF_PASSWORD_MD5: hashlib.md5(PASSWORD.encode()).hexdigest(),
                const.CONF_PRODUCT_ID: PRODUCT,
                const.CONF_GATEWAY: sandbox.url,
                **(http or {}),
            },
            const.CONF_CMPP: {
                CONF_HOST: "127.0.0.1",
                CONF_PORT: sandbox.cmpp.port,
                const.CONF_SP_ID: SP_ID,
                CONF_PASSWORD: PASSWORD,
                const.CONF_SOURCE_NUMBER: SOURCE_NUMBER,
                const.CONF_SERVICE_ID: "",
                **(cmpp or {}),
            },
        }
        own = {name: known[name] for name in ways}
        entry = MockConfigEntry(
            domain=const.DOMAIN,
            title=title,
            unique_id=account_id(own),
            data={**own, CONF_WEBHOOK_ID: webhook_id, const.CONF_PUSH_SECRET: push_secret},
            options={const.CONF_SIGNATURE: "某某科技", **(options or {})},
            subentries_data=recipients
            if recipients is not None
            else [recipient("Alice", ALICE), recipient("Bob", BOB)],
        )
        entry.add_to_hass(hass)
        return entry

    return make


@pytest.fixture
def set_up(hass: HomeAssistant) -> SetUp:
    """Return a function that sets an account up, and waits for its first balance."""

    async def run(made: MockConfigEntry) -> None:
        await set_up_entry(hass, made)
        assert made.state is ConfigEntryState.LOADED

    return run


@pytest.fixture
async def entry(make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:
    """Set up the default account."""
    made = make_entry()
    await set_up(made)
    return made


@pytest.fixture
async def second(entry: MockConfigEntry, make_entry: MakeEntry, set_up: SetUp) -> MockConfigEntry:  # noqa: ARG001 - first
    """Set up another account at the platform, without recipients."""
    made = make_entry(
        title="Second", http={"username": "second"}, recipients=[], webhook_id="second", push_secret="second"
    )
    await set_up(made)
    return made


@pytest.fixture
async def quiet_entry(make_entry: MakeEntry, set_up: SetUp, freezer: FrozenDateTimeFactory) -> MockConfigEntry:
    """Set up an account whose recipient Alice is in quiet hours, and Bob is not."""
    freezer.move_to(EVENING)
    made = make_entry(recipients=[recipient("Alice", ALICE, **QUIET), recipient("Bob", BOB)])
    await set_up(made)
    return made


@pytest.fixture
async def gateway_off(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Make the gateway of the default account unreachable."""
    await use_gateway(hass, entry, UNREACHABLE)


@pytest.fixture
def processor(hass: HomeAssistant, entry: MockConfigEntry) -> InboundProcessor:
    """Return what receives the replies and delivery reports of the default account."""
    return async_get_registry(hass).async_get(entry)


@pytest.fixture
def messages(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    """Return the events of received messages."""
    return async_capture_events(hass, const.EVENT_MESSAGE_RECEIVED)


@pytest.fixture
def reports(hass: HomeAssistant) -> list[Event[dict[str, Any]]]:
    """Return the events of delivery reports."""
    return async_capture_events(hass, const.EVENT_DELIVERY_REPORT)


@pytest.fixture
def outcomes(hass: HomeAssistant) -> list[Event]:
    """Return the events of the final outcomes of queued messages."""
    return async_capture_events(hass, const.EVENT_DELAYED_MESSAGE)


@pytest.fixture
def acted(hass: HomeAssistant) -> list[ServiceCall]:
    """Return the calls of the action `test.acted`."""
    return async_mock_service(hass, "test", "acted")


@pytest.fixture
def unloaded(entry: MockConfigEntry) -> list[str]:
    """Return a list that grows when the default account is unloaded."""
    recorded: list[str] = []
    entry.async_on_unload(lambda: recorded.append("unloaded"))
    return recorded


@pytest.fixture
def connect(hass_client_no_auth: ClientSessionGenerator, sandbox: Sandbox) -> Connect:
    """Set up the default account, with pushes from the sandbox over a socket."""

    async def run() -> None:
        client = await hass_client_no_auth()
        address = str(client.make_url(f"/api/sms1680/{PUSH_SECRET}/1680"))
        account = sandbox.platform.accounts[USERNAME]
        account.report_address, account.uplink_address = f"{address}/mr", f"{address}/mo"

    return run


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the core's retries without a connection, which its own tests cover."""
    monkeypatch.setattr(account, "AsyncClient", functools.partial(AsyncClient, patience=0))


@pytest.fixture
def fails_at_once(no_patience: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """Make messages that were not sent fail at once."""
    monkeypatch.setattr(pipeline, "_PATIENCE", 0.0)


@pytest.fixture
def until(hass: HomeAssistant, sandbox: Sandbox) -> Until:
    """Return a function that waits for a condition, checked at every event here or at the platform."""

    async def wait(condition: Callable[[], object]) -> None:
        changed = asyncio.Event()

        @callback
        def notice(_: object) -> None:
            changed.set()

        sandbox.platform.listeners.append(notice)
        stop = hass.bus.async_listen(MATCH_ALL, notice)
        try:
            async with asyncio.timeout(20):
                while not condition():
                    await changed.wait()
                    changed.clear()
        finally:
            stop()
            sandbox.platform.listeners.remove(notice)
        await hass.async_block_till_done()

    return wait


@pytest.fixture
def fired(hass: HomeAssistant) -> dict[str, list[Event]]:
    """Return the events of sends and of failures."""
    return {
        "sent": async_capture_events(hass, const.EVENT_MESSAGE_SENT),
        "failed": async_capture_events(hass, const.EVENT_MESSAGE_FAILED),
    }


@pytest.fixture
async def admin(hass: HomeAssistant, hass_ws_client: WebSocketGenerator) -> Ask:
    """Return a function that runs a command as an administrator."""
    return Ask(await hass_ws_client(hass))


@pytest.fixture
async def read_only(hass: HomeAssistant, hass_ws_client: WebSocketGenerator, hass_read_only_access_token: str) -> Ask:
    """Return a function that runs a command as a user who may read and not control."""
    return Ask(await hass_ws_client(hass, hass_read_only_access_token))


@pytest.fixture
def make_user(hass: HomeAssistant, hass_ws_client: WebSocketGenerator) -> MakeUser:
    """Return a function that adds a user with permissions for some entities, and runs commands as that user."""

    async def make(name: str, entities: dict[str, Any]) -> Ask:
        user = await hass.auth.async_create_user(name, group_ids=["system-read-only"])
        assert isinstance(user, User)
        policy = {"entities": {"entity_ids": entities}}
        user.permissions = PolicyPermissions(policy, user.perm_lookup)  # type: ignore[misc]
        credential = Credentials(id=name, auth_provider_type="homeassistant", auth_provider_id=None, data={})
        user.credentials.append(credential)
        token = await hass.auth.async_create_refresh_token(user, "https://example.com/app", credential=credential)
        return Ask(await hass_ws_client(hass, hass.auth.async_create_access_token(token)))

    return make


@pytest.fixture
async def housemate(make_user: MakeUser) -> Ask:
    """Return a function that runs a command as a user who may control only Alice's entities."""
    allowed = {"read": True, "control": True}
    return await make_user("Housemate", {"notify.alice": allowed, "event.alice_messages": allowed})
