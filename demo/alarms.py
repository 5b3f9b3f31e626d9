"""Steps about alarms: a question and its answer, and an alarm past a gateway that is down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from sms1680 import mask_number

from .home_assistant import HomeAssistant
from .platform import Platform
from .processes import DemoError
from .transcript import Step

YES = "好的"


async def ask(home: HomeAssistant, platform: Platform, step: Step, *, entity: str, question: str, number: str) -> None:
    """Ask with sms1680.ask_question and answer from the phone."""
    fields = {"question": question, "answers": [{"id": "yes"}, {"id": "no"}], "timeout": "00:01:00"}
    asking = asyncio.ensure_future(home.act("sms1680.ask_question", fields, entity=entity, answer=True))
    try:
        shown = await platform.shown(question)
        step.lines.append(f"sms1680.ask_question; the phone {mask_number(shown['number'])} shows: {shown['text']}")
        await platform.post("reply", number=number, content=YES)
        answer = await asking
    finally:
        asking.cancel()
    if answer["id"] != "yes":
        raise DemoError(f"the action returned {answer['id']!r}, {answer.get('reason')!r}")
    step.lines.append(
        f"the phone answered {YES!r}; the action returned id {answer['id']!r} from {answer['recipient']}, "
        f"{answer['elapsed']:.2f} s after it started"
    )
    step.facts.update(id=answer["id"], elapsed=answer["elapsed"])


async def fall_back(
    home: HomeAssistant,
    platform: Platform,
    step: Step,
    *,
    first: Mapping[str, Any],
    signature: str,
    alarm: str,
    number: str,
) -> None:
    """Add a second account whose gateway then goes down, and send an alarm that the first account takes over."""
    async with _relay(platform.account.gateway) as (gateway, close):
        second = await home.add_account(replace(platform.account, gateway=gateway), signature)
        step.lines.append("a second account was added, which reaches the platform at another address")
        await close()
    step.lines.append("that address was closed: it refuses connections")
    first_id, second_id = (account["result"]["entry_id"] for account in (first, second))
    fields = {"number": number, "config_entry_id": second_id, "message": alarm, "priority": "critical"}
    began, clock = time.time(), time.monotonic()
    answer = await home.act("sms1680.send_message", {**fields, "fallback_account": first_id}, answer=True)
    seconds = time.monotonic() - clock
    (message,) = answer["messages"]
    (fallback,) = message["fallback"]
    seen = (message["outcome"], message["reason"], fallback["to"], fallback["outcome"])
    if seen != ("not_sent", "no_connection", first_id, "accepted"):
        raise DemoError(f"the action answered {seen}")
    step.lines.append(f"the second account: outcome {seen[0]}, reason {seen[1]}; the first account: {seen[3]}")
    arrived = (await platform.shown(alarm))["sent_at"] - began
    step.lines.append(
        f"the alarm was on the phone {arrived:.1f} s after the call; the action answered after {seconds:.1f} s"
    )
    await home.request("DELETE", f"/api/config/config_entries/entry/{second_id}")
    step.facts.update(outcome=message["outcome"], taken=fallback["outcome"], seconds=round(arrived, 1))
    step.detail = f"{arrived:.1f} s"


@asynccontextmanager
async def _relay(gateway: str) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]]]]:
    """Relay connections to the gateway from a port of its own; yield its address and a function that closes it."""
    parts = urlsplit(gateway)
    writers: set[asyncio.StreamWriter] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, out = await asyncio.open_connection(parts.hostname, parts.port)
        writers.update((writer, out))
        directions = [asyncio.ensure_future(copy(reader, out)), asyncio.ensure_future(copy(answers, writer))]
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        for direction in directions:
            direction.cancel()
        for one in (writer, out):
            one.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)

    async def close() -> None:
        server.close()
        for writer in writers:
            writer.close()

    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", close
    finally:
        await close()
