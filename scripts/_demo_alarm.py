"""The steps of `scripts/demo` about alarms: a question and its answer, and the way around a gateway that is off."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, AsyncIterator, Mapping
from urllib.parse import urlsplit

from _demo_home_assistant import HomeAssistant
from _demo_platform import Platform
from _demo_processes import DemoError
from _demo_transcript import Step

from sms1680 import mask_number

YES = "好的"


async def ask(home: HomeAssistant, platform: Platform, step: Step, *, entity: str, question: str, number: str) -> None:
    """Asks by sms1680.ask_question, answers from the phone, and tells what the action returned."""
    asking = asyncio.ensure_future(
        home.act(
            "sms1680.ask_question",
            {"question": question, "answers": [{"id": "yes"}, {"id": "no"}], "timeout": "00:01:00"},
            entity=entity,
            answer=True,
        )
    )
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
        f"the phone answered {YES!r}; the action returned id {answer['id']!r}, from {answer['recipient']}, "
        f"{answer['elapsed']:.2f} s after it had begun"
    )
    step.facts.update(id=answer["id"], elapsed=answer["elapsed"])


async def go_around(
    home: HomeAssistant,
    platform: Platform,
    step: Step,
    *,
    first: Mapping[str, Any],
    signature: str,
    alarm: str,
    number: str,
) -> None:
    """Adds an account whose gateway is then off, and lets it send an alarm that another account takes over.

    first: the account that is up.
    """
    async with _door(platform.account.gateway) as (gateway, close):
        second = await home.add_account(replace(platform.account, gateway=gateway), signature)
        step.lines.append("a second account was added, which reaches the platform by an address of its own")
        await close()
    step.lines.append("that address was closed: connections to it are refused")
    began, clock = time.time(), time.monotonic()
    answer = await home.act(
        "sms1680.send_message",
        {
            "number": number,
            "config_entry_id": second["result"]["entry_id"],
            "message": alarm,
            "priority": "critical",
            "fallback_account": first["result"]["entry_id"],
        },
        answer=True,
    )
    seconds = time.monotonic() - clock
    (told,) = answer["messages"]
    (taken,) = told["fallback"]
    seen = (told["outcome"], told["reason"], taken["to"], taken["outcome"])
    if seen != ("not_sent", "no_connection", first["result"]["entry_id"], "accepted"):
        raise DemoError(f"the action answered {seen}")
    step.lines.append(f"the second account: outcome {told['outcome']}, reason {told['reason']}; the first: accepted")
    shown = await platform.shown(alarm)
    arrived = shown["sent_at"] - began
    step.lines.append(
        f"the alarm is on the phone {arrived:.1f} s after the call, by the second way; "
        f"the action answered after {seconds:.1f} s"
    )
    entry = f"/api/config/config_entries/entry/{second['result']['entry_id']}"
    await home.request("DELETE", entry)
    step.facts.update(outcome=told["outcome"], taken=taken["outcome"], seconds=round(arrived, 1))
    step.detail = f"{arrived:.1f} s"


@asynccontextmanager
async def _door(gateway: str) -> AsyncIterator[tuple[str, Any]]:
    """Opens a door to the gateway on a port of its own; gives its address, and what closes it."""
    parts = urlsplit(gateway)
    open_now: set[asyncio.StreamWriter] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, out = await asyncio.open_connection(parts.hostname, parts.port)
        open_now.update((writer, out))
        ways = [asyncio.ensure_future(carry(reader, out)), asyncio.ensure_future(carry(inner, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for one in (writer, out):
            one.close()

    server = await asyncio.start_server(come, "127.0.0.1", 0)

    async def close() -> None:
        server.close()
        for writer in open_now:
            writer.close()

    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", close
    finally:
        await close()
