"""The dialogs of the CMPP transport: a login checks it, and each error is distinct and recoverable."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from homeassistant.config_entries import SOURCE_USER, ConfigEntry, ConfigEntryState, ConfigFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.sms1680.account import clients as account
from custom_components.sms1680.flows import validation as checks
from sms1680.cmpp.wire.pdus import ConnectResp
from sms1680.sandbox import Account, Config, Sandbox
from sms1680.sandbox.cmpp import connection as sandbox_connection
from tests.home_assistant.helpers import BOTH, PASSWORD, MakeEntry, SetUp, Until, enter, send_text


@pytest.fixture
def given(sandbox: Sandbox) -> dict[str, Any]:
    """Valid input."""
    return {
        "host": "127.0.0.1",
        "port": sandbox.cmpp.port,
        "sp_id": "901680",
        "password": PASSWORD,
        "source_number": "106900001680",
        "service_id": "",
        "signature": "某某科技",
    }


@pytest.fixture
def http(sandbox: Sandbox) -> dict[str, Any]:
    """Valid input for the same account over HTTP."""
    return {"username": "homeuser", "password": PASSWORD, "product_id": "61341", "gateway": sandbox.url}


@pytest.fixture
async def entry(make_entry: MakeEntry, set_up: SetUp, until: Until) -> MockConfigEntry:
    """An account without HTTP, connected."""
    made = make_entry(ways=("cmpp",))
    await set_up(made)
    await until(lambda: made.runtime_data.health.connection.connected)
    return made


async def start(hass: HomeAssistant) -> ConfigFlowResult:
    result = await hass.config_entries.flow.async_init("sms1680", context={"source": SOURCE_USER})
    assert set(result["menu_options"]) == {"http", "cmpp"}
    result = await hass.config_entries.flow.async_configure(result["flow_id"], {"next_step_id": "cmpp"})
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "cmpp")
    return result


async def choose(hass: HomeAssistant, entry: MockConfigEntry, what: str) -> ConfigFlowResult:
    result = await entry.start_reconfigure_flow(hass)
    return await hass.config_entries.flow.async_configure(result["flow_id"], {"next_step_id": what})


async def test_successful_login_creates_the_entry(hass: HomeAssistant, given: dict[str, Any], sandbox: Sandbox) -> None:
    result = await enter(hass, await start(hass), {**given, "host": " 127.0.0.1 "})
    assert (result["type"], result["title"]) == (FlowResultType.CREATE_ENTRY, "SMS 1680 901680")
    assert result["description"] == "connected"
    entry = result["result"]
    assert entry.state is ConfigEntryState.LOADED
    assert entry.unique_id == "127.0.0.1 901680"
    asked = {name: given[name] for name in given if name != "signature"}
    assert entry.data["cmpp"] == {**asked, "ssl": False, "verify_ssl": True}
    assert type(entry.data["cmpp"]["port"]) is int
    assert "http" not in entry.data
    assert entry.options == {"signature": "某某科技"}
    assert len(entry.data["webhook_id"]) >= 32
    assert len(entry.data["push_secret"]) >= 32
    assert not sandbox.platform.messages


async def test_account_without_pushes_shows_no_letter(hass: HomeAssistant, given: dict[str, Any]) -> None:
    result = await enter(hass, await start(hass), given)
    if "next_flow" not in result:
        assert not hasattr(ConfigEntry, "get_subentries_of_type"), "2026.6 and later can open it"
        return
    _, flow_id = result["next_flow"]
    dialog = await hass.config_entries.subentries.async_configure(flow_id, {"name": "Alice", "number": "13800000001"})
    await hass.async_block_till_done()
    assert dialog["type"] is FlowResultType.CREATE_ENTRY
    assert not dialog.get("description")
    assert hass.states.get("notify.alice")


async def test_service_id_and_signature_are_optional(hass: HomeAssistant, given: dict[str, Any]) -> None:
    del given["signature"], given["service_id"]
    result = await enter(hass, await start(hass), given)
    assert (result["title"], result["result"].options) == ("SMS 1680 901680", {})


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"password": "not it"}, {"base": "cmpp_auth"}),
        ({"sp_id": "111111"}, {"base": "cmpp_auth"}),
        ({"port": 1}, {"base": "cmpp_cannot_connect"}),
        ({"host": "http://127.0.0.1"}, {"host": "invalid_host"}),
        ({"host": " "}, {"host": "invalid_host"}),
        ({"password": ""}, {"password": "empty"}),
        ({"sp_id": "1234567"}, {"sp_id": "invalid_sp_id"}),
        ({"source_number": "1069-1"}, {"source_number": "invalid_source_number"}),
        ({"source_number": "1" * 22}, {"source_number": "invalid_source_number"}),
        ({"service_id": "业务"}, {"service_id": "invalid_service_id"}),
        ({"signature": "【】"}, {"signature": "invalid_signature"}),
    ],
)
async def test_invalid_input_is_reported_and_can_be_corrected(
    hass: HomeAssistant, given: dict[str, Any], wrong: dict[str, Any], error: dict[str, str]
) -> None:
    result = await enter(hass, await start(hass), {**given, **wrong})
    assert (result["type"], result["errors"]) == (FlowResultType.FORM, error)
    schema = result["data_schema"]
    assert schema is not None
    shown = {str(name): (name.description or {}).get("suggested_value") for name in schema.schema}
    assert shown["password"] == (None if "password" in error else {**given, **wrong}["password"])
    assert shown["source_number"] == {**given, **wrong}["source_number"]
    assert not hass.config_entries.async_entries("sms1680")
    result = await enter(hass, result, given)
    assert result["type"] is FlowResultType.CREATE_ENTRY


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"networks": ("203.0.113.0/24",)}, "cmpp_ip"),
        ({"suspended": True}, "cmpp_suspended"),
        ({"cmpp_connections": 0}, "cmpp_suspended"),
    ],
)
async def test_refused_login_shows_its_reason(
    hass: HomeAssistant, given: dict[str, Any], sandbox: Sandbox, change: dict[str, Any], error: str
) -> None:
    state = sandbox.platform.accounts["homeuser"]
    right: Account = state.config
    state.config = replace(right, **change)
    result = await enter(hass, await start(hass), given)
    assert result["errors"] == {"base": error}
    state.config = right
    assert (await enter(hass, result, given))["type"] is FlowResultType.CREATE_ENTRY


@pytest.fixture
async def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for this machine, with its key in one file."""
    made, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    making = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", made, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await making.wait() == 0
    made.write_bytes(made.read_bytes() + key.read_bytes())
    return made


class TestBehindTLS:
    """A TLS tunnel in front of the platform's port."""

    @pytest.fixture
    def sandbox_config(self, sandbox_config: Config, certificate: Path) -> Config:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        return replace(sandbox_config, cmpp_tls=context)

    @pytest.fixture(autouse=True)
    def _refused_handshakes(self, hass: HomeAssistant) -> None:
        """In debug mode, asyncio reports each failed handshake to the exception handler of the server."""
        handler = hass.loop.get_exception_handler()
        assert handler is not None

        def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            if not isinstance(context.get("exception"), ssl.SSLError | ConnectionError):
                handler(loop, context)

        hass.loop.set_exception_handler(tell)

    async def test_invalid_certificate_has_its_own_error(self, hass: HomeAssistant, given: dict[str, Any]) -> None:
        result = await enter(hass, await start(hass), given)
        assert result["errors"]["base"] in ("no_answer", "cmpp_not_understood")
        result = await enter(hass, result, {**given, "ssl": True})
        assert result["errors"] == {"base": "cmpp_certificate"}
        result = await enter(hass, result, {**given, "ssl": True, "verify_ssl": False})
        assert result["type"] is FlowResultType.CREATE_ENTRY
        assert (result["result"].data["cmpp"]["ssl"], result["result"].data["cmpp"]["verify_ssl"]) == (True, False)

    async def test_valid_certificate_is_accepted(
        self,
        hass: HomeAssistant,
        given: dict[str, Any],
        certificate: Path,
        monkeypatch: pytest.MonkeyPatch,
        until: Until,
        sandbox: Sandbox,
    ) -> None:
        monkeypatch.setattr(account, "client_context", lambda: ssl.create_default_context(cafile=str(certificate)))
        result = await enter(hass, await start(hass), {**given, "ssl": True})
        entry = result["result"]
        await until(lambda: entry.runtime_data.health.connection.connected)
        await send_text(entry.runtime_data.client, "13800000001", "后门打开")
        assert [message.text for message in sandbox.platform.messages] == ["【某某科技】后门打开"]


@pytest.mark.parametrize(("status", "error"), [(1, "cmpp_refused"), (4, "cmpp_version"), (99, "cmpp_refused")])
async def test_connect_status_determines_the_error(
    hass: HomeAssistant, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, status: int, error: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sandbox_connection, "ConnectResp", lambda **fields: ConnectResp(**{**fields, "status": status}))
        result = await enter(hass, await start(hass), given)
    assert result["errors"] == {"base": error}
    assert (await enter(hass, result, given))["type"] is FlowResultType.CREATE_ENTRY


@pytest.fixture
async def stranger() -> AsyncIterator[Callable[[bytes | None], Awaitable[int]]]:
    """Open ports without a platform, which send the given octets and close the connection."""
    servers: list[asyncio.Server] = []

    async def serve(answer: bytes | None) -> int:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            if answer is not None:
                writer.write(answer)
                await reader.read()
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    yield serve
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("answer", "error"), [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "cmpp_not_understood"), (None, "no_answer")]
)
async def test_foreign_server_is_rejected(
    hass: HomeAssistant,
    given: dict[str, Any],
    stranger: Callable[[bytes | None], Awaitable[int]],
    *,
    answer: bytes | None,
    error: str,
) -> None:
    result = await enter(hass, await start(hass), {**given, "port": await stranger(answer)})
    assert result["errors"] == {"base": error}
    assert (await enter(hass, result, given))["type"] is FlowResultType.CREATE_ENTRY


async def test_option_add_http_shows_the_http_form(
    hass: HomeAssistant, given: dict[str, Any], http: dict[str, Any]
) -> None:
    result = await enter(hass, await start(hass), {**given, "add_http": True})
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "http")
    schema = result["data_schema"]
    assert schema is not None
    assert "signature" not in map(str, schema.schema)
    result = await enter(hass, result, {**http, "password": "not it"})
    assert result["errors"] == {"base": "invalid_auth"}
    result = await enter(hass, result, http)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    entry = result["result"]
    assert (entry.data["cmpp"]["sp_id"], entry.data["http"]["username"]) == ("901680", "homeuser")
    assert entry.unique_id == f"{http['gateway']} homeuser 61341"
    assert entry.options == {"signature": "某某科技"}
    assert "add_http" not in entry.data["cmpp"]
    assert entry.runtime_data.coordinator.data == 1000
    assert result["description"] == "letter_unreachable", "the platform may push what comes in while CMPP is down"
    assert entry.data["push_secret"] in result["description_placeholders"]["letter"]


@pytest.mark.parametrize("ways", [("cmpp",), BOTH])
async def test_duplicate_account_aborts(
    hass: HomeAssistant, given: dict[str, Any], make_entry: MakeEntry, ways: tuple[str, ...]
) -> None:
    make_entry(ways=ways)
    result = await enter(hass, await start(hass), given)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")


async def test_host_spelling_does_not_matter(hass: HomeAssistant, given: dict[str, Any], make_entry: MakeEntry) -> None:
    make_entry(ways=("cmpp",), cmpp={"host": "cmpp.Example.com"})
    result = await enter(hass, await start(hass), {**given, "host": "CMPP.example.com."})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")


async def test_http_account_of_another_entry_aborts(
    hass: HomeAssistant, given: dict[str, Any], http: dict[str, Any], make_entry: MakeEntry
) -> None:
    make_entry()
    result = await enter(hass, await start(hass), {**given, "add_http": True})
    result = await enter(hass, result, http)
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")


async def test_reconfigure_changes_the_cmpp_account(
    hass: HomeAssistant, entry: MockConfigEntry, given: dict[str, Any], sandbox: Sandbox, until: Until
) -> None:
    del given["signature"]
    state = sandbox.platform.accounts["homeuser"]
    # The account is limited to one connection, which the entry holds.
    state.config = replace(state.config, cmpp_connections=1)
    result = await choose(hass, entry, "reconfigure_cmpp")
    result = await enter(hass, result, {**given, "password": "not it"})
    assert result["errors"] == {"base": "cmpp_auth"}
    unloaded: list[str] = []
    entry.async_on_unload(lambda: unloaded.append("once"))
    result = await enter(hass, result, {**given, "source_number": "10690000168012"})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "reconfigure_successful")
    assert unloaded == ["once"]
    assert entry.data["cmpp"]["source_number"] == "10690000168012"
    assert entry.data["webhook_id"] == "webhook-id-of-the-tests"
    await until(lambda: entry.runtime_data.health.connection.connected)


async def test_cmpp_account_of_another_entry_aborts(
    hass: HomeAssistant, entry: MockConfigEntry, make_entry: MakeEntry, given: dict[str, Any]
) -> None:
    make_entry(title="Other", ways=("cmpp",), cmpp={"sp_id": "2"}, webhook_id="other", push_secret="other")
    del given["signature"]
    result = await enter(hass, await choose(hass, entry, "reconfigure_cmpp"), {**given, "sp_id": "2"})
    assert (result["type"], result["reason"]) == (FlowResultType.ABORT, "already_configured")
    assert entry.data["cmpp"]["sp_id"] == "901680"


async def menu(hass: HomeAssistant, entry: MockConfigEntry) -> set[str]:
    result = await entry.start_reconfigure_flow(hass)
    hass.config_entries.flow.async_abort(result["flow_id"])
    return set(result["menu_options"])


async def test_transports_are_added_and_removed_except_the_last(
    hass: HomeAssistant, entry: MockConfigEntry, given: dict[str, Any], http: dict[str, Any], until: Until
) -> None:
    assert await menu(hass, entry) == {"reconfigure_cmpp", "add_http"}
    result = await enter(hass, await choose(hass, entry, "add_http"), http)
    assert result["reason"] == "reconfigure_successful"
    assert entry.unique_id == f"{http['gateway']} homeuser 61341"
    assert entry.runtime_data.coordinator.data == 1000
    both = {"reconfigure_http", "reconfigure_cmpp", "remove_http", "remove_cmpp"}
    assert await menu(hass, entry) == both
    await until(lambda: entry.runtime_data.health.connection.connected)

    result = await choose(hass, entry, "remove_cmpp")
    assert (result["type"], result["step_id"]) == (FlowResultType.FORM, "remove_cmpp")
    assert "cmpp" in entry.data
    assert (await enter(hass, result, {}))["reason"] == "reconfigure_successful"
    assert "cmpp" not in entry.data
    assert await menu(hass, entry) == {"reconfigure_http", "add_cmpp"}

    del given["signature"]
    result = await enter(hass, await choose(hass, entry, "add_cmpp"), given)
    assert result["reason"] == "reconfigure_successful"
    assert await menu(hass, entry) == both
    result = await enter(hass, await choose(hass, entry, "remove_http"), {})
    assert result["reason"] == "reconfigure_successful"
    assert "http" not in entry.data
    assert entry.unique_id == "127.0.0.1 901680"
    await until(lambda: entry.runtime_data.health.connection.connected)


async def test_reauthentication_asks_for_the_refused_transport(
    hass: HomeAssistant, make_entry: MakeEntry, until: Until
) -> None:
    entry = make_entry(ways=BOTH, http={"password_md5": "0" * 32})
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done(wait_background_tasks=True)
    (flow,) = hass.config_entries.flow.async_progress_by_handler("sms1680")
    assert flow["step_id"] == "reauth_confirm"
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {"password": PASSWORD})
    assert result["reason"] == "reauth_successful"
    await hass.async_block_till_done(wait_background_tasks=True)
    assert entry.data["cmpp"]["password"] == PASSWORD

    hass.config_entries.async_update_entry(entry, data={**entry.data, "cmpp": {**entry.data["cmpp"], "password": "x"}})
    await until(lambda: hass.config_entries.flow.async_progress_by_handler("sms1680"))
    (flow,) = hass.config_entries.flow.async_progress_by_handler("sms1680")
    assert flow["step_id"] == "reauth_cmpp"
    http = entry.data["http"]
    result = await hass.config_entries.flow.async_configure(flow["flow_id"], {"password": PASSWORD})
    assert result["reason"] == "reauth_successful"
    await until(lambda: entry.runtime_data.health.connection.connected)
    assert (entry.data["cmpp"]["password"], entry.data["http"]) == (PASSWORD, http)


def test_invalid_host_is_rejected() -> None:
    way = {"port": 7890, "sp_id": "1", "password": "x", "source_number": "1"}
    refused = ["a/b", "user@host", "host?x", "ho st", "[::1]", "1.2.3.4:7890", "gateway:7890", ""]
    assert [host for host in refused if checks.parse_cmpp({**way, "host": host})[1] != {"host": "invalid_host"}] == []
    assert checks.parse_cmpp({**way, "host": "2001:db8::1"})[1] == {}
