"""The Home Assistant of `scripts/demo`: its configuration, and driving it over HTTP and WebSocket as a person would."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Mapping

import aiohttp
from _demo_platform import Account
from _demo_processes import DemoError, until
from _environments import ROOT
from _home_assistant import OLDEST, Release

DOMAIN = "sms1680"
# What an API answers.
Json = Any
EVENTS = ("sms1680_message_received", "sms1680_delivery_report")
LONGEST_ANSWER = 60.0

CONFIGURATION = """\
homeassistant:
  name: sms1680 demo
  time_zone: Asia/Shanghai
  country: CN
  currency: CNY
  language: en
  internal_url: {address}
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
# Newer ones take `http:` of the YAML for a trial, and open every interface where nobody confirms it.
OLD_HTTP = "http:\n  server_host: 127.0.0.1\n  server_port: {port}\n"


class CommandError(DemoError):
    """Home Assistant refused a command. `error` is what it told: code, message, and how to translate it."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message")))
        self.error = error


def configure(folder: Path, release: Release, port: int) -> None:
    """Writes the configuration of a Home Assistant that listens on loopback only, with the integration in it.

    The integration is copied as HACS does it, and nothing else of the checkout.
    """
    storage = folder / ".storage"
    storage.mkdir(parents=True)
    configuration = CONFIGURATION.format(address=f"http://127.0.0.1:{port}")
    if release == OLDEST:
        configuration += OLD_HTTP.format(port=port)
    else:
        store(storage, "http", 2, 2, {"stable": http_settings(port), "pending": None, "yaml_migration_done": True})
    (folder / "configuration.yaml").write_text(configuration, "utf-8")
    (folder / "automations.yaml").write_text("[]\n", "utf-8")
    # Of the first dialogs only the user's is left: the others would start integrations that ask the internet.
    store(storage, "onboarding", 4, 1, {"done": ["core_config", "analytics", "integration"]})
    shutil.copytree(
        str(ROOT / "custom_components" / DOMAIN),
        str(folder / "custom_components" / DOMAIN),
        ignore=shutil.ignore_patterns("__pycache__"),
    )


def store(storage: Path, key: str, version: int, minor_version: int, data: Mapping[str, Any]) -> None:
    """Writes one of Home Assistant's own files."""
    whole = {"version": version, "minor_version": minor_version, "key": key, "data": data}
    (storage / key).write_text(json.dumps(whole), "utf-8")


def http_settings(port: int) -> dict[str, Any]:
    """Returns where a newer Home Assistant listens, as its own dialog would have stored it."""
    return {
        "server_port": port,
        "server_host": ["127.0.0.1"],
        "cors_allowed_origins": ["https://cast.home-assistant.io"],
        "login_attempts_threshold": -1,
        "ip_ban_enabled": True,
        "ssl_profile": "modern",
        "use_x_frame_options": True,
        "created_at": datetime.now(timezone.utc).isoformat(),
        "error": None,
        "error_message": None,
    }


class HomeAssistant:
    """A Home Assistant that runs. Sign up first, then connect."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self.address = address
        self.version = ""
        self.events: list[dict[str, Any]] = []
        self._session = session
        self._token = ""
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._heard = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    # --- over HTTP --------------------------------------------------------------------------------------------------

    async def request(self, method: str, path: str, **content: Json) -> Json:
        """Calls Home Assistant's HTTP API. Raises DemoError for what it refuses."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        async with self._session.request(method, f"{self.address}{path}", headers=headers, **content) as response:
            if response.status >= 400:
                raise DemoError(f"Home Assistant answered {response.status} to {method} {path.rpartition('/')[0]}")
            return await response.json(content_type=None)

    async def answers(self) -> bool | None:
        """Tells whether it answers already."""
        with suppress(aiohttp.ClientError, DemoError):
            await self.request("GET", "/manifest.json")
            return True
        return None

    async def sign_up(self, name: str, password: str) -> None:
        """Answers the first dialog: the owner's name and password; and signs in."""
        client = {"client_id": f"{self.address}/"}
        user = {**client, "name": name, "username": name, "password": password, "language": "en"}
        code = (await self.request("POST", "/api/onboarding/users", json=user))["auth_code"]
        form = {**client, "grant_type": "authorization_code", "code": code}
        self._token = (await self.request("POST", "/auth/token", data=form))["access_token"]

    async def running(self) -> str | None:
        """Returns its version once it is fully up."""
        config = await self.request("GET", "/api/config")
        return str(config["version"]) if config["state"] == "RUNNING" else None

    async def add_account(self, account: Account, signature: str) -> dict[str, Any]:
        """Goes through the dialog of a new account, and returns its last answer."""
        flow = "/api/config/config_entries/flow"
        step = await self.request("POST", flow, json={"handler": DOMAIN})
        if step["type"] == "menu":
            step = await self.request("POST", f"{flow}/{step['flow_id']}", json={"next_step_id": "http"})
        form = {
            "username": account.username,
            "password": account.password,
            "product_id": account.product_id,
            "gateway": account.gateway,
            "signature": signature,
        }
        return created(await self.request("POST", f"{flow}/{step['flow_id']}", json=form))

    async def add_recipient(self, account: Mapping[str, Any], name: str, number: str) -> None:
        """Goes through the dialog of a recipient: the one that followed the account's, or a new one."""
        flow = "/api/config/config_entries/subentries/flow"
        dialog = (account.get("next_flow") or (None, None))[1]
        if dialog is None:
            handler = [account["result"]["entry_id"], "recipient"]
            dialog = (await self.request("POST", flow, json={"handler": handler}))["flow_id"]
        created(await self.request("POST", f"{flow}/{dialog}", json={"name": name, "number": number}))

    async def add_cmpp(self, account: Mapping[str, Any], own: Account) -> None:
        """Goes through the account's dialog once more, and adds the way over CMPP."""
        flow = "/api/config/config_entries/flow"
        step = await self.request("POST", flow, json={"handler": DOMAIN, "entry_id": account["result"]["entry_id"]})
        step = await self.request("POST", f"{flow}/{step['flow_id']}", json={"next_step_id": "add_cmpp"})
        form = {**own.cmpp, "password": own.password}
        ended = await self.request("POST", f"{flow}/{step['flow_id']}", json=form)
        if ended.get("reason") != "reconfigure_successful":
            raise DemoError(f"the dialog did not end: {ended['type']}, {ended.get('errors') or ended.get('reason')}")

    async def connected(self) -> str:
        """Waits until the account is connected over CMPP, and returns the entity that says so."""

        async def look() -> str | None:
            for entity in await self.command("config/entity_registry/list"):
                mine = entity["platform"] == DOMAIN and entity["translation_key"] == "connected"
                if mine and await self.state(entity["entity_id"]) == "on":
                    return str(entity["entity_id"])
            return None

        return await until(look, "connection over CMPP")

    async def add_automation(self, name: str, automation: Mapping[str, Any]) -> str:
        """Saves an automation as the editor does, and returns its entity once it listens."""
        await self.request("POST", f"/api/config/automation/config/{name}", json=automation)

        async def look() -> str | None:
            for state in await self.request("GET", "/api/states"):
                if state["attributes"].get("id") == name and state["state"] == "on":
                    return str(state["entity_id"])
            return None

        return await until(look, "automation that listens")

    async def state(self, entity: str) -> str:
        """Returns an entity's state."""
        return str((await self.request("GET", f"/api/states/{entity}"))["state"])

    # --- over the WebSocket -----------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Opens the connection that the frontend uses too, and listens to the integration's events."""
        socket = await self._session.ws_connect(f"{self.address}/api/websocket", max_msg_size=0)
        await socket.receive_json()
        await socket.send_json({"type": "auth", "access_token": self._token})
        if (await socket.receive_json())["type"] != "auth_ok":
            raise DemoError("Home Assistant does not take its own token")
        self._socket = socket
        self._listening = asyncio.create_task(self._listen())
        for event in EVENTS:
            await self.command("subscribe_events", event_type=event)

    async def command(self, kind: str, **fields: Json) -> Json:
        """Gives a command and returns its result. Raises CommandError where it is refused."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "type": kind, **fields})
        try:
            return await asyncio.wait_for(answer, LONGEST_ANSWER)
        except asyncio.TimeoutError:
            raise DemoError(f"Home Assistant did not answer {kind} within {LONGEST_ANSWER:.0f} s") from None

    async def act(
        self, action: str, data: Mapping[str, Any], *, entity: str | None = None, answer: bool = False
    ) -> Json:
        """Calls an action; returns its answer where one is asked for."""
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
    ) -> dict[str, Any]:
        """Returns the first event that fits, of those that came or within so many seconds. Raises DemoError."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            self._heard.clear()
            for event in self.events:
                if event["event_type"] == kind and fits(event["data"]):
                    return event
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._heard.wait(), max(0.0, end - loop.time()))
                continue
            raise DemoError(f"after {seconds:.0f} s there was still no event {kind} that fits")

    async def notify_entity(self) -> str:
        """Returns the recipient's notify entity, once it is there."""

        async def look() -> str | None:
            listed = await self.command("config/entity_registry/list")
            mine = [entity["entity_id"] for entity in listed if entity["platform"] == DOMAIN]
            found = next((entity for entity in mine if entity.startswith("notify.")), None)
            return found if found and await self.state(found) != "unavailable" else None

        return await until(look, "notify entity of the recipient")

    async def spoken(self, error: Mapping[str, Any], language: str) -> str:
        """Returns an error as the frontend shows it to somebody who reads this language. Raises DemoError."""
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
                self._heard.set()
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
    """Returns a dialog's last answer. Raises DemoError where it did not end with what was asked for."""
    if answer["type"] != "create_entry":
        raise DemoError(f"the dialog did not end: {answer['type']}, {answer.get('errors') or answer.get('reason')}")
    return dict(answer)


def push_addresses(account: Mapping[str, Any]) -> dict[str, str]:
    """Returns the two addresses that the last page of the dialog asks to have registered at the platform."""
    letter = (account.get("description_placeholders") or {}).get("letter", "")
    found = {kind: re.search(rf"(http://\S+/{kind})\b", letter) for kind in ("mr", "mo")}
    if not all(found.values()):
        raise DemoError("the dialog's last page names no push addresses")
    reports, uplinks = (str(match[1]) for match in found.values() if match)
    return {"report_address": reports, "uplink_address": uplinks}
