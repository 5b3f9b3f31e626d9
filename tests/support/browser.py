"""Drive a headless Chromium, for tests that use pages as a person does."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LONGEST_WAIT = 60.0  # seconds; a big page is slow on a busy machine
LOOK_AGAIN = 0.05
STEADY = 5  # polls in which an element must not move before it is clicked
LONGEST_COVER = 5.0  # seconds that a click waits for what covers its element

# Every page gets `seek`: it finds visible elements by selector and text, also in shadow trees, and waits for the end of
# animations.
SEEK = """
window.seek = {
  *deep(root = document) {
    for (const element of root.querySelectorAll('*')) {
      yield element;
      if (element.shadowRoot) yield* seek.deep(element.shadowRoot);
    }
  },
  isSeen(element) {
    const { width, height } = element.getBoundingClientRect();
    return width > 0 && height > 0;
  },
  all(selector, text = '', root = document) {
    const found = [...seek.deep(root)].filter((element) => element.matches(selector) && seek.isSeen(element));
    return found.filter((element) => element.textContent.trim().replace(/\\s+/g, ' ').includes(text));
  },
  one(selector, text, root) {
    return seek.all(selector, text, root)[0];
  },
  focused() {
    let element = document.activeElement;
    while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element;
  },
  async rest() {
    const moves = [...seek.deep()].flatMap((element) => element.getAnimations({ subtree: true }));
    const ending = moves.filter((move) => Number.isFinite(move.effect.getComputedTiming().endTime));
    await Promise.allSettled(ending.map((move) => move.finished));
  },
  text() {
    const own = (element) => [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE);
    const words = seek.all('*:not(style, script)').flatMap(own).map((node) => node.data.trim());
    return words.filter(Boolean).join(' | ');
  },
};
"""


class PageError(Exception):
    """A script of a page failed, or the page closed during a command."""


class Tab:
    """A page of the browser, controlled over Chromium's DevTools protocol.

    Elements are given as JavaScript expressions, which run in the page.

    problems: exceptions and errors of the page's scripts, and the browser's log entries about it.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._serials = itertools.count(1)
        self.problems: list[str] = []

    async def command(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send the browser a command and return its result. Raise PageError if the browser refuses it."""
        serial = next(self._serials)
        await self._socket.send_json({"id": serial, "method": method, "params": parameters})
        while True:
            message = await asyncio.wait_for(self._socket.receive_json(), LONGEST_WAIT)
            if message.get("id") == serial:
                if "error" in message:
                    raise PageError(message["error"])
                result: dict[str, Any] = message["result"]
                return result
            if message.get("method") == "Runtime.exceptionThrown":
                self.problems.append(str(message["params"]["exceptionDetails"].get("exception", message)))
            if message.get("method") == "Runtime.consoleAPICalled" and message["params"]["type"] == "error":
                self.problems.append(str(message["params"]["args"]))
            if message.get("method") == "Log.entryAdded":
                self.problems.append(message["params"]["entry"]["text"])

    async def prepare(self, width: int, height: int) -> None:
        """Set the size of the page and emulate focus."""
        for domain in ("Page", "Runtime", "Log"):
            await self.command(f"{domain}.enable")
        await self.command("Page.addScriptToEvaluateOnNewDocument", source=SEEK)
        await self.command("Emulation.setFocusEmulationEnabled", enabled=True)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.command("Emulation.setDeviceMetricsOverride", **size)

    async def open(self, url: str) -> None:
        """Open an address."""
        await self.command("Page.navigate", url=url)

    async def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression or promise. Raise PageError if it throws."""
        result = await self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise PageError(result["exceptionDetails"])
        return result["result"].get("value")

    async def until(self, condition: str, seconds: float = LONGEST_WAIT) -> None:
        """Wait until a JavaScript condition holds, also across page loads.

        Raise AssertionError with the text of the page after this many seconds.
        """
        end = time.monotonic() + seconds
        while True:
            with suppress(PageError):
                if await self.run(f"Boolean({condition})"):
                    return
            if time.monotonic() > end:
                raise AssertionError(f"{condition} did not become true; the page shows {await self.text()}")
            await asyncio.sleep(LOOK_AGAIN)

    async def text(self) -> str:
        """Return the visible text of the page."""
        return str(await self.run("seek.text()"))

    async def click(self, element: str) -> None:
        """Wait until an element is visible and does not move, then click its center. Raise AssertionError otherwise."""
        await self.release(await self.press(element))

    async def press(self, element: str) -> tuple[float, float]:
        """Press the mouse's button where `click` clicks, and return the place for `release`."""
        where = f"""((element) => {{
            element.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const {{x, y, width, height}} = element.getBoundingClientRect();
            const place = [x + width / 2, y + height / 2];
            let top = document.elementFromPoint(...place);
            for (let inner; (inner = top?.shadowRoot?.elementFromPoint(...place)) && inner !== top; top = inner);
            while (top && top !== element) top = top.assignedSlot ?? top.parentNode ?? top.host;
            return [...place, top !== element];
        }})({element})"""
        await self.until(element)
        places = [await self.run(where)]
        # Home Assistant's start screen covers the page while it fades out, and takes the click.
        until = time.monotonic() + LONGEST_COVER
        while places[-STEADY:] != [places[-1]] * STEADY or (places[-1][2] and time.monotonic() < until):
            await asyncio.sleep(LOOK_AGAIN)
            places.append(await self.run(where))
        x, y, _ = places[-1]
        await self.command("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
        return x, y

    async def release(self, place: tuple[float, float]) -> None:
        """Release the mouse's button."""
        x, y = place
        await self.command("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)

    async def write(self, field: str, text: str) -> None:
        """Wait for a field and replace its content. Repeat it until the field has the text.

        Raise AssertionError after the longest wait.
        """
        take = f"((field) => {{ field.focus(); field.select(); return seek.focused() === field; }})({field})"
        holds = f"({field}).value === {json.dumps(text)}"
        end = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < end:
            await self.until(take)
            await self.command("Input.insertText", text=text)
            if await self.run(holds):  # else a menu that was just closing took the focus
                return
        raise AssertionError(f"{field} does not accept a text; the page shows {await self.text()}")

    async def picture(self, *elements: str, margin: int = 0) -> bytes:
        """Return a PNG of the box around these elements, with a margin in pixels."""
        await self.command("Input.dispatchMouseEvent", type="mouseMoved", x=0, y=0)
        await self.run("seek.rest()")
        clip = await self.run(
            f"""((elements) => {{
                const boxes = elements.map((element) => element.getBoundingClientRect());
                const left = Math.max(0, Math.min(...boxes.map((box) => box.left)) - {margin});
                const top = Math.max(0, Math.min(...boxes.map((box) => box.top)) - {margin});
                const right = Math.min(innerWidth, Math.max(...boxes.map((box) => box.right)) + {margin});
                const bottom = Math.min(innerHeight, Math.max(...boxes.map((box) => box.bottom)) + {margin});
                return {{x: left + scrollX, y: top + scrollY, width: right - left, height: bottom - top, scale: 1}};
            }})([{", ".join(elements)}])"""
        )
        shot = await self.command("Page.captureScreenshot", format="png", clip=clip)
        return base64.b64decode(shot["data"])


class Browser:
    """A running Chromium."""

    def __init__(self, session: aiohttp.ClientSession, stack: AsyncExitStack, port: int) -> None:
        self._session = session
        self._stack = stack
        self._port = port

    async def tab(self, width: int = 1200, height: int = 900) -> Tab:
        """Open a page."""
        async with self._session.put(f"http://127.0.0.1:{self._port}/json/new?about:blank") as answer:
            target = await answer.json()
        socket = self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)
        tab = Tab(await self._stack.enter_async_context(socket))
        await tab.prepare(width, height)
        return tab


@asynccontextmanager
async def browse(folder: Path) -> AsyncIterator[Browser]:
    """Run a Chromium with its profile in `folder`."""
    process = await asyncio.create_subprocess_exec(
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--lang=en"),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # a test stays on this machine
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        port = await asyncio.wait_for(_debugging_port(process), LONGEST_WAIT)
        async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
            yield Browser(session, stack, port)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _debugging_port(process: asyncio.subprocess.Process) -> int:
    """Return the debugging port that Chromium prints."""
    if process.stderr is not None:
        async for line in process.stderr:
            if b"DevTools listening on" in line:
                return int(line.rsplit(b":", 1)[1].split(b"/")[0])
    raise RuntimeError("Chromium ended before it listened")
