"""Fixtures: a manual clock, a caller of a platform, a receiver of pushes, a browser."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from aiohttp import web
from support.browser import CHROMIUM, Tab, browse

from sms1680.sandbox import Account, Config, Platform, Sandbox
from sms1680.sandbox.accounts import AccountState

NUMBER = "13800000000"


class ManualClock:
    """A clock that only advances on request."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Desk:
    """A platform without sockets, its only account, and its clock."""

    platform: Platform
    clock: ManualClock

    @property
    def account(self) -> AccountState:
        return self.platform.accounts["demo"]

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.platform.run_due()


MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk() -> MakeDesk:
    def make(account: Account | None = None, **settings: object) -> Desk:
        clock = ManualClock()
        return Desk(Platform(Config(accounts=(account or Account(),), **settings), clock), clock)

    return make


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@dataclass
class Caller:
    """Calls a sandbox as the owner of the demo account."""

    session: aiohttp.ClientSession
    box: Sandbox
    base: dict[str, str] = field(
        default_factory=lambda: {"username": "demo", "password": "demo1680", "productid": "61341"}
    )

    async def post(self, call: str, **parameters: str) -> str:
        async with self.session.post(f"{self.box.url}/{call}.do", data=self.base | parameters) as answer:
            assert answer.status == 200
            return await answer.text()

    async def get(self, call: str, **parameters: str) -> str:
        async with self.session.get(f"{self.box.url}/{call}.do", params=self.base | parameters) as answer:
            assert answer.status == 200
            return await answer.text()

    async def send(self, text: str, number: str = NUMBER, **parameters: str) -> str:
        return await self.post("sendXSms", mobile=number, content=text, **parameters)

    async def control(self, path: str, expected: int = 200, **fields: object) -> dict[str, object]:
        async with self.session.post(f"{self.box.url}/api/{path}", json=fields) as answer:
            assert answer.status == expected, await answer.text()
            return await answer.json()

    async def read(self, path: str) -> dict[str, object]:
        async with self.session.get(f"{self.box.url}/api/{path}") as answer:
            assert answer.status == 200
            return await answer.json()


MakeCaller = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def call(http: aiohttp.ClientSession) -> AsyncIterator[MakeCaller]:
    """Return a function that starts a sandbox for an account and returns a caller of it."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(account: Account | None = None, **settings: object) -> Caller:
            config = Config(accounts=(account or Account(),), **settings)
            return Caller(http, await stack.enter_async_context(Sandbox(config)))

        yield make


Raw = Callable[[str, bytes], Awaitable[bytes]]


@pytest.fixture
def raw() -> Raw:
    """Return a function that sends raw bytes and returns the whole response."""

    async def exchange(url: str, request: bytes) -> bytes:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()
        return answer

    return exchange


class Receiver:
    """A web server for pushes. It answers with `answers`, then always with 200 and 0."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: Iterator[tuple[int, str]] = iter(())
        self.received: list[tuple[str, dict[str, str]]] = []
        self.raw: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        query = request.raw_path.partition("?")[2]
        self.raw.append(query)
        self.received.append((request.path, dict(parse_qsl(query, keep_blank_values=True))))
        status, text = next(self.answers, (200, "0"))
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, text=text, headers=headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Return a receiver of pushes on a free port."""
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    """Return a page in a new headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    async with browse(tmp_path / "profile") as browser:
        yield await browser.tab()
