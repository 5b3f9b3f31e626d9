"""One run of the demo: play the story, stay up, and end every program."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import time
from typing import Any

import aiohttp

from .home_assistant import HomeAssistant
from .platform import Platform
from .processes import Processes, RunFolder
from .programs import USERNAME, Programs
from .steps import STEPS, Story
from .transcript import Step, Transcript

# The steps that need an account in Home Assistant, in order. Each runs even if another one has failed.
SENDING = ("send", "unknown", "forbidden", "reply", "question", "cmpp", "question_cmpp", "around", "ledger", "logs")


class Demo:
    """One run.

    once: end after the transcript. as_json: print it as JSON, too. wanted: `newest` or `oldest` Home Assistant.
    """

    def __init__(self, *, once: bool, as_json: bool, wanted: str) -> None:
        self._once = once
        self._as_json = as_json
        self._wanted = wanted
        self._transcript = Transcript([Step(*titles) for titles in STEPS], to_stderr=as_json)
        self._folder = RunFolder()
        self._began = time.monotonic()
        self._password = secrets.token_urlsafe(9)  # of Home Assistant's user
        self._platform: Platform | None = None
        self._home: HomeAssistant | None = None
        self._signal = 0
        self._ending = False

    async def run(self) -> int:
        """Run the demo; return 0 if every step passed, or 128 plus the number of the signal that interrupted it."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, number, asyncio.current_task())
        complete = False
        good = False
        try:
            async with Processes() as processes:
                try:
                    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
                        programs = Programs(session, processes, self._folder)
                        await self._play_while_they_run(programs, processes)
                        complete = True
                        self._sum_up()
                        good = self._transcript.held
                        if not self._once and self._home and not programs.ended.done():
                            good = await self._stay(programs) and good
                except asyncio.CancelledError:
                    self._transcript.say("\nEnding ...")
                finally:
                    self._ending = True
        finally:
            self._folder.close(keep=complete and not good)
        return int(not good) if complete else 128 + self._signal

    def _stop(self, number: signal.Signals, task: asyncio.Task[Any] | None) -> None:
        """End the run at the first signal."""
        if task and not self._ending:
            self._ending = True
            self._signal = number
            task.cancel()

    async def _play_while_they_run(self, programs: Programs, processes: Processes) -> None:
        """Play the story to its end, or until a program ends by itself."""
        story = asyncio.ensure_future(self._play(programs, processes))
        either: list[asyncio.Future[Any]] = [story, programs.ended]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if programs.ended.done():
                self._transcript.say(f"\n{programs.ended.result()}")
            else:
                story.result()
        finally:
            story.cancel()
            await asyncio.wait({story})

    async def _play(self, programs: Programs, processes: Processes) -> None:
        """Run each step whose requirements are up."""
        run = self._transcript.run

        async def start_platform(step: Step) -> None:
            self._platform = await programs.start_platform(step)
            await self._transcript.show_on(self._platform)

        if not await run("platform", start_platform) or not self._platform:
            return
        install = await programs.start_install(self._wanted)
        story = Story(self._platform, processes, self._folder, self._password)
        await run("apprise", story.apprise)

        async def start_home_assistant(step: Step) -> None:
            end = await programs.installed(self._wanted, install, step, self._transcript)
            self._home = story.home = await programs.start_home_assistant(end, self._password, step)

        if await run("home_assistant", start_home_assistant):
            await self._platform.post("story", links=[{"title": "Home Assistant", "url": self._home_address}])
            if await run("account", story.account):
                for name in SENDING:
                    await run(name, getattr(story, name))

    @property
    def _home_address(self) -> str:
        return f"{self._home.address}/" if self._home else ""

    def _sum_up(self) -> None:
        """Print the outcome."""
        say = self._transcript.say
        seconds = time.monotonic() - self._began
        failed = [step for step in self._transcript.steps.values() if not step.held]
        if failed:
            say(f"\n{len(failed)} of {len(STEPS)} steps failed:")
            for step in failed:
                say(f"    {step.id}: {step.error or 'not reached'}")
            say(f"    Logs, until the next run: {self._folder.logs}")
        else:
            say(f"\nAll {len(STEPS)} steps passed, {seconds:.0f} s after the start.")
        if self._as_json:
            print(json.dumps(self._as_object(seconds), ensure_ascii=False, indent=1), flush=True)

    def _as_object(self, seconds: float) -> dict[str, Any]:
        """Return the transcript for programs."""
        return {
            "held": self._transcript.held,
            "seconds": round(seconds, 1),
            "folder": str(self._folder.path),
            "phone_page": self._platform.page if self._platform else None,
            "home_assistant": {"address": self._home_address, "username": USERNAME, "password": self._password},
            "steps": [step.as_json() for step in self._transcript.steps.values()],
        }

    async def _stay(self, programs: Programs) -> bool:
        """Stay up until a signal, then return True. Return False if a program ends by itself."""
        say = self._transcript.say
        say(f"\nPhone page       {self._platform.page if self._platform else ''}")
        say(f"Home Assistant   {self._home_address}   user {USERNAME}, password {self._password}")
        say("Reply on the phone page, or send from Home Assistant. Ctrl-C ends everything.")
        try:
            say(f"\n{await programs.ended}\nLogs, until the next run: {self._folder.logs}")
        except asyncio.CancelledError:
            say("\nEnding ...")
            return True
        return False
