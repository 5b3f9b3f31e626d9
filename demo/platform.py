"""The 1680 platform of the demo, through its control API: its messages, its phones and the story on its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from .processes import DemoError, until


@dataclass(frozen=True)
class Account:
    """The account that Apprise and Home Assistant use. cmpp: its login over CMPP."""

    gateway: str
    username: str
    password: str
    product_id: str
    cmpp: Mapping[str, Any]


class Platform:
    """The running platform."""

    def __init__(self, session: aiohttp.ClientSession, account: Account) -> None:
        self._session = session
        self.account = account
        self.page = f"{account.gateway}/"

    async def post(self, action: str, **fields: Any) -> Any:  # noqa: ANN401 - JSON
        """Send a command, as the phone page does. Raise DemoError if the platform refuses it."""
        async with self._session.post(f"{self.account.gateway}/api/{action}", json=fields) as response:
            answer = await response.json()
            if response.status != 200:
                raise DemoError(f"the platform refused {action}: {answer.get('error')}")
            return answer

    async def items(self) -> list[dict[str, Any]]:
        """Return every message and reply of the platform, in order."""
        async with self._session.get(f"{self.account.gateway}/api/messages") as response:
            listed: list[dict[str, Any]] = (await response.json())["messages"]
            return listed

    async def pushed(self) -> int:
        """Return how many reports and replies the platform has pushed to an address."""
        async with self._session.get(f"{self.account.gateway}/api/state") as response:
            return int((await response.json())["pushes"]["delivered"])

    async def with_text(self, text: str) -> list[dict[str, Any]]:
        """Return the messages with this text; a signature may precede it."""
        return [item for item in await self.items() if item["kind"] == "message" and item["text"].endswith(text)]

    async def shown(self, text: str) -> dict[str, Any]:
        """Wait until a phone shows a message with this text, and return the message."""

        async def look() -> dict[str, Any] | None:
            return next((message for message in await self.with_text(text) if message["arrived"]), None)

        return await until(look, "message with the expected text on the phone")
