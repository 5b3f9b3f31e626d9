"""The Home Assistant of the demo: write its configuration, and use it over HTTP and WebSocket as a person would."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from . import ROOT
from .platform import Account
from .processes import DemoError, until

DOMAIN = "sms1680"
EVENTS = ("sms1680_message_received", "sms1680_delivery_report")
COMMAND_TIMEOUT = 60.0
FLOW = "/api/config/config_entries/flow"
SUBENTRY_FLOW = "/api/config/config_entries/subentries/flow"

_GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
# The two ends of the range of Home Assistant.
VERSIONS: dict[str, str] = {
    end: next(name for name in _GROUPS[f"home-assistant-{end}"] if name.startswith("homeassistant==")).split("==")[1]
    for end in ("oldest", "newest")
}

CONFIGURATION = """\
homeassistant:
  name: sms1680 demo
  time_zone: Asia/Shanghai
  country: CN
  currency: CNY
  language: en
  internal_url: http://127.0.0.1:{port}
frontend:
config:
automation: !include automations.yaml
input_boolean:
  siren:
    name: Siren
    icon: mdi:alarm-light
logger:
  default: info
  logs:
    custom_components.sms1680: debug
    httpx: debug
    httpcore: debug
"""
# Newer releases take `http:` of the YAML on trial only, and listen on every interface unless somebody confirms it.
OLD_HTTP = "http:\n  server_host: 127.0.0.1\n  server_port: {port}\n"
# What the dialog of a newer release would have stored instead.
NEW_HTTP: dict[str, Any] = {
    "server_host": ["127.0.0.1"],
    "cors_allowed_origins": ["https://cast.home-assistant.io"],
    "login_attempts_threshold": -1,
    "ip_ban_enabled": True,
    "ssl_profile": "modern",
    "use_x_frame_options": True,
    "error": None,
    "error_message": None,
}


class CommandError(DemoError):
    """Home Assistant refused a command. error: its code, its message and the key of its translation."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message")))
        self.error = error


def configure(folder: Path, version: str, port: int) -> None:
    """Write the configuration of a Home Assistant that listens on loopback only.

    The integration is copied into it as HACS does, without the rest of the checkout.
    """
    storage = folder / ".storage"
    storage.mkdir(parents=True)
    configuration = CONFIGURATION

    def store(key: str, version: int, minor_version: int, data: Mapping[str, Any]) -> None:
        whole = {"version": version, "minor_version": minor_version, "key": key, "data": data}
        (storage / key).write_text(json.dumps(whole), "utf-8")

    if version == VERSIONS["oldest"]:
        configuration += OLD_HTTP
    else:
        settings = {**NEW_HTTP, "server_port": port, "created_at": datetime.now(UTC).isoformat()}
        store("http", 2, 2, {"stable": settings, "pending": None, "yaml_migration_done": True})
    (folder / "configuration.yaml").write_text(configuration.format(port=port), "utf-8")
    (folder / "automations.yaml").write_text("[]\n", "utf-8")
    # Only the user's dialog of the onboarding remains: the others would set up integrations that use the internet.
    store("onboarding", 4, 1, {"done": ["core_config", "analytics", "integration"]})
    integration = Path("custom_components") / DOMAIN
    shutil.copytree(ROOT / integration, folder / integration, ignore=shutil.ignore_patterns("__pycache__"))


class HomeAssistant:
    """A running Home Assistant. Sign up first, then connect."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self.address = address
        self.version = ""
        self.events: list[dict[str, Any]] = []
        self._session = session
        self._token = ""
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    # --- over HTTP --------------------------------------------------------------------------------------------------

    async def request(self, method: str, path: str, **content: Any) -> Any:  # noqa: ANN401 - JSON
        """Call the HTTP API. Raise DemoError if Home Assistant refuses the call."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        async with self._session.request(method, f"{self.address}{path}", headers=headers, **content) as response:
            if response.status >= 400:
                raise DemoError(f"Home Assistant answered {response.status} to {method} {path.rpartition('/')[0]}")
            return await response.json(content_type=None)

    async def answers(self) -> bool | None:
        """Return True once it answers."""
        with suppress(aiohttp.ClientError, DemoError):
            await self.request("GET", "/manifest.json")
            return True
        return None

    async def sign_up(self, name: str, password: str) -> None:
        """Create the owner as the onboarding does, and log in."""
        client = {"client_id": f"{self.address}/"}
        user = {**client, "name": name, "username": name, "password": password, "language": "en"}
        code = (await self.request("POST", "/api/onboarding/users", json=user))["auth_code"]
        form = {**client, "grant_type": "authorization_code", "code": code}
        self._token = (await self.request("POST", "/auth/token", data=form))["access_token"]

    async def running(self) -> str | None:
        """Return its version once it is fully up."""
        config = await self.request("GET", "/api/config")
        return str(config["version"]) if config["state"] == "RUNNING" else None

    async def add_account(self, account: Account, signature: str) -> dict[str, Any]:
        """Complete the dialog of a new account, and return its last answer."""
        step = await self.request("POST", FLOW, json={"handler": DOMAIN})
        if step["type"] == "menu":
            step = await self.request("POST", f"{FLOW}/{step['flow_id']}", json={"next_step_id": "http"})
        fields = ("username", "password", "product_id", "gateway")
        form = {**{name: getattr(account, name) for name in fields}, "signature": signature}
        return created(await self.request("POST", f"{FLOW}/{step['flow_id']}", json=form))

    async def add_recipient(self, account: Mapping[str, Any], name: str, number: str) -> None:
        """Complete the dialog of a recipient."""
        handler = [account["result"]["entry_id"], "recipient"]
        dialog = (await self.request("POST", SUBENTRY_FLOW, json={"handler": handler}))["flow_id"]
        created(await self.request("POST", f"{SUBENTRY_FLOW}/{dialog}", json={"name": name, "number": number}))

    async def add_cmpp(self, account: Mapping[str, Any], own: Account) -> None:
        """Add the CMPP transport to an account with the account's dialog."""
        step = await self.request("POST", FLOW, json={"handler": DOMAIN, "entry_id": account["result"]["entry_id"]})
        step = await self.request("POST", f"{FLOW}/{step['flow_id']}", json={"next_step_id": "add_cmpp"})
        form = {**own.cmpp, "password": own.password}
        ended = await self.request("POST", f"{FLOW}/{step['flow_id']}", json=form)
        if ended.get("reason") != "reconfigure_successful":
            raise unfinished(ended)

    async def add_automation(self, name: str, automation: Mapping[str, Any]) -> str:
        """Save an automation as the editor does, and return its entity once it is on."""
        await self.request("POST", f"/api/config/automation/config/{name}", json=automation)

        async def look() -> str | None:
            states = await self.request("GET", "/api/states")
            mine = (one for one in states if one["attributes"].get("id") == name and one["state"] == "on")
            return next((str(one["entity_id"]) for one in mine), None)

        return await until(look, "automation that is on")

    async def state(self, entity: str) -> str:
        """Return the state of an entity."""
        return str((await self.request("GET", f"/api/states/{entity}"))["state"])

    # --- over the WebSocket -----------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the connection that the frontend uses, too, and subscribe to the integration's events."""
        socket = await self._session.ws_connect(f"{self.address}/api/websocket", max_msg_size=0)
        await socket.receive_json()
        await socket.send_json({"type": "auth", "access_token": self._token})
        if (await socket.receive_json())["type"] != "auth_ok":
            raise DemoError("Home Assistant refused its own token")
        self._socket = socket
        self._listening = asyncio.create_task(self._listen())
        for event in EVENTS:
            await self.command("subscribe_events", event_type=event)

    async def command(self, kind: str, **fields: Any) -> Any:  # noqa: ANN401 - JSON
        """Send a command and return its result. Raise CommandError if Home Assistant refuses it."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "type": kind, **fields})
        try:
            return await asyncio.wait_for(answer, COMMAND_TIMEOUT)
        except TimeoutError:
            raise DemoError(f"Home Assistant did not answer {kind} within {COMMAND_TIMEOUT:.0f} s") from None

    async def act(
        self, action: str, data: Mapping[str, Any], *, entity: str | None = None, answer: bool = False
    ) -> Any:  # noqa: ANN401 - JSON
        """Call an action; return its response if `answer` asks for one."""
        domain, _, name = action.partition(".")
        fields: dict[str, Any] = {"domain": domain, "service": name, "service_data": dict(data)}
        if entity:
            fields["target"] = {"entity_id": entity}
        if answer:
            fields["return_response"] = True
        result = await self.command("call_service", **fields)
        return result["response"] if answer else None

    async def event(
        self, kind: str, fits: Callable[[Mapping[str, Any]], bool], seconds: float = 30.0
    ) -> Mapping[str, Any]:
        """Return the data of the first event that fits, past ones included. Raise DemoError after this many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    self._changed.clear()
                    for event in self.events:
                        if event["event_type"] == kind and fits(event["data"]):
                            data: Mapping[str, Any] = event["data"]
                            return data
                    await self._changed.wait()
        raise DemoError(f"after {seconds:.0f} s there was still no event {kind} that fits")

    async def entity(self, kind: str, ready: Callable[[str], bool], key: str | None = None) -> str:
        """Wait until an entity of this kind, and with this translation key, has such a state; return its id."""

        async def look() -> str | None:
            for entity in await self.command("config/entity_registry/list"):
                mine = entity["platform"] == DOMAIN and entity["entity_id"].startswith(f"{kind}.")
                if mine and key in (None, entity["translation_key"]) and ready(await self.state(entity["entity_id"])):
                    return str(entity["entity_id"])
            return None

        return await until(look, f"{kind} entity that is ready")

    async def translated(self, error: Mapping[str, Any], language: str) -> str:
        """Return an error as the frontend shows it in this language. Raise DemoError if it has no translation."""
        if "translation_key" not in error:
            raise DemoError(f"the error can't be translated: {error.get('message')}")
        found = await self.command(
            "frontend/get_translations", language=language, category="exceptions", integration=[DOMAIN]
        )
        key = f"component.{error['translation_domain']}.exceptions.{error['translation_key']}.message"
        sentence = str(found["resources"][key])
        for name, value in (error.get("translation_placeholders") or {}).items():
            sentence = sentence.replace(f"{{{name}}}", str(value))
        return sentence

    async def _listen(self) -> None:
        async for frame in self._socket:
            message = json.loads(frame.data)
            if message["type"] == "event":
                self.events.append(message["event"])
                self._changed.set()
            elif message["type"] == "result":
                answer = self._answers.pop(message["id"])
                if answer.done():
                    continue
                if message["success"]:
                    answer.set_result(message["result"])
                else:
                    answer.set_exception(CommandError(message["error"]))
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(DemoError("Home Assistant closed the connection"))


def created(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the last answer of a dialog. Raise DemoError if the dialog created nothing."""
    if answer["type"] != "create_entry":
        raise unfinished(answer)
    return dict(answer)


def unfinished(answer: Mapping[str, Any]) -> DemoError:
    """Return the error for a dialog that did not finish."""
    return DemoError(f"the dialog did not finish: {answer['type']}, {answer.get('errors') or answer.get('reason')}")


def push_addresses(account: Mapping[str, Any]) -> dict[str, str]:
    """Return the two push addresses on the last page of the account's dialog."""
    letter = (account.get("description_placeholders") or {}).get("letter", "")
    found = {kind: re.search(rf"(http://\S+/{kind})\b", letter) for kind in ("mr", "mo")}
    if not all(found.values()):
        raise DemoError("the last page of the dialog names no push addresses")
    reports, uplinks = (str(match[1]) for match in found.values() if match)
    return {"report_address": reports, "uplink_address": uplinks}
