"""What the sandbox's tests share: a clock turned by hand, a caller of a platform, a receiver of pushes, a browser."""

import asyncio
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from aiohttp import web

from sms1680.sandbox import Account, Config, Platform, Sandbox
from sms1680.sandbox.accounts import AccountState

NUMBER = "13800000000"


class HandClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Desk:
    """A platform without sockets, its only account, and its clock."""

    platform: Platform
    clock: HandClock

    @property
    def account(self) -> AccountState:
        return self.platform.accounts["demo"]

    def turn(self, seconds: float) -> None:
        self.clock.turn(seconds)
        self.platform.run_due()


MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk() -> MakeDesk:
    def make(account: Account | None = None, **settings: object) -> Desk:
        clock = HandClock()
        return Desk(Platform(Config(accounts=(account or Account(),), **settings), clock), clock)

    return make


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@dataclass
class Caller:
    """Calls a sandbox as the demo account's owner would."""

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

    async def look(self, path: str) -> dict[str, object]:
        async with self.session.get(f"{self.box.url}/api/{path}") as answer:
            assert answer.status == 200
            return await answer.json()


MakeCaller = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def call(http: aiohttp.ClientSession) -> AsyncIterator[MakeCaller]:
    """Makes a running sandbox for an account and returns a caller of it."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(account: Account | None = None, **settings: object) -> Caller:
            config = Config(accounts=(account or Account(),), **settings)
            return Caller(http, await stack.enter_async_context(Sandbox(config)))

        yield make


Raw = Callable[[str, bytes], Awaitable[bytes]]


@pytest.fixture
def raw() -> Raw:
    """Sends a request as it stands and returns all that comes back."""

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
    """A web server that pushes go to; it answers as `answers` says, then 200 and 0 for ever."""

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
    """A receiver of pushes on a free port."""
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


class Tab:
    """A browser's page, spoken to over Chromium's DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.serials = itertools.count(1)
        self.problems: list[str] = []

    async def command(self, method: str, **parameters: object) -> dict[str, object]:
        serial = next(self.serials)
        await self.socket.send_json({"id": serial, "method": method, "params": parameters})
        while True:
            message = await self.socket.receive_json(timeout=30)
            if message.get("id") == serial:
                assert "error" not in message, message["error"]
                return message["result"]
            if message.get("method") == "Runtime.exceptionThrown":
                self.problems.append(str(message["params"]["exceptionDetails"].get("exception", message)))
            if message.get("method") == "Log.entryAdded":
                self.problems.append(message["params"]["entry"]["text"])

    async def open(self, url: str) -> None:
        for domain in ("Page", "Runtime", "Log"):
            await self.command(f"{domain}.enable")
        await self.command("Page.navigate", url=url)

    async def run(self, expression: str) -> object:
        """Return what a JavaScript expression (or the promise it is) gives."""
        result = await self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, condition: str) -> None:
        """Wait until a JavaScript condition holds, looked at with every frame."""
        waited = await self.run(
            "new Promise((done) => { const end = Date.now() + 20000; const look = () => { let is = false;"
            f" try {{ is = Boolean({condition}); }} catch {{ /* not there yet */ }}"
            " if (is || Date.now() > end) done(is); else setTimeout(look, 20); }; look(); })"
        )
        assert waited, f"it did not come to {condition}; the page holds {await self.run('document.body.innerText')}"


@pytest.fixture
async def tab(tmp_path: Path, http: aiohttp.ClientSession) -> AsyncIterator[Tab]:
    """A page in a headless Chromium of its own."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium to open the page with")
    profile = tmp_path / "profile"
    process = await asyncio.create_subprocess_exec(
        chromium,
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--lang=en"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            port = await _debugging_port(process)
            async with http.get(f"http://127.0.0.1:{port}/json") as listing:
                page = next(target for target in await listing.json() if target["type"] == "page")
        async with http.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            yield Tab(socket)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _debugging_port(process: asyncio.subprocess.Process) -> int:
    """Return the port that Chromium says it listens on."""
    assert process.stderr is not None
    async for line in process.stderr:
        if b"DevTools listening on" in line:
            return int(line.rsplit(b":", 1)[1].split(b"/")[0])
    raise AssertionError("Chromium ended before it listened")
