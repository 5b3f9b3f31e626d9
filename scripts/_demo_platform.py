"""The 1680 platform of `scripts/demo`: its ledger, its phones and the story on its page, by the control API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

import aiohttp
from _demo_processes import DemoError, until

# What the control API answers.
Json = Any


@dataclass(frozen=True)
class Account:
    """The account at the platform that Apprise and Home Assistant use. cmpp: how it logs in over CMPP."""

    gateway: str
    username: str
    password: str
    product_id: str
    cmpp: Mapping[str, Json]


class Platform:
    """The platform that runs."""

    def __init__(self, session: aiohttp.ClientSession, account: Account) -> None:
        self._session = session
        self.account = account

    @property
    def page(self) -> str:
        """The phone page's address."""
        return f"{self.account.gateway}/"

    async def post(self, action: str, **fields: Json) -> Json:
        """Does something at the platform, as its page does."""
        async with self._session.post(f"{self.account.gateway}/api/{action}", json=fields) as response:
            answer = await response.json()
            if response.status != 200:
                raise DemoError(f"the platform refused {action}: {answer.get('error')}")
            return answer

    async def items(self) -> list[dict[str, Any]]:
        """Returns the ledger: every message that the platform took on, and every reply, in order."""
        async with self._session.get(f"{self.account.gateway}/api/messages") as response:
            listed: list[dict[str, Any]] = (await response.json())["messages"]
            return listed

    async def pushed(self) -> int:
        """Returns how many reports and replies the platform has pushed to an address."""
        async with self._session.get(f"{self.account.gateway}/api/state") as response:
            return int((await response.json())["pushes"]["delivered"])

    async def held(self, text: str) -> list[dict[str, Any]]:
        """Returns the messages in the ledger that have this text, signature apart."""
        return [item for item in await self.items() if item["kind"] == "message" and item["text"].endswith(text)]

    async def shown(self, text: str) -> dict[str, Any]:
        """Waits until a phone shows a message with this text, and returns it."""

        async def look() -> dict[str, Any] | None:
            return next((message for message in await self.held(text) if message["arrived"]), None)

        return await until(look, "message with the expected text on the phone")
