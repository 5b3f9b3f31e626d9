"""The demo itself, in the platform's environment: tells the story, stays, and ends all that it has started."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
import time
from contextlib import ExitStack
from typing import Any, Sequence

import _demo_environments
import aiohttp
from _demo import parser
from _demo_home_assistant import HomeAssistant
from _demo_platform import Platform
from _demo_processes import Processes, RunFolder
from _demo_programs import USERNAME, Programs
from _demo_steps import STEPS, Story
from _demo_transcript import Step, Transcript
from _environments import Environments

SENDING = ("send", "unknown", "forbidden", "reply", "question", "cmpp", "question_cmpp", "around", "ledger", "logs")


class Demo:
    """One run.

    once: end after the transcript. as_json: print it as JSON too. wanted: `newest` or `oldest` Home Assistant.
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
        """Runs it to its end; returns the exit code: 0 if every step held, 128 and the signal if one came before."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, number, asyncio.current_task())
        told = False
        good = False
        # The environments are given up last, once nothing runs in them any more.
        with ExitStack() as in_use:
            try:
                async with Processes() as processes:
                    try:
                        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
                            programs = Programs(session, processes, self._folder, in_use)
                            await self._tell_while_they_run(programs, processes)
                            told = True
                            self._sum_up()
                            good = self._transcript.held
                            if not self._once and self._home and not programs.ended.done():
                                good = await self._stay(programs) and good
                    except asyncio.CancelledError:
                        self._transcript.say("\nEnding ...")
                    finally:
                        self._ending = True
            finally:
                self._folder.close(keep=told and not good)
        return int(not good) if told else 128 + self._signal

    def _stop(self, number: signal.Signals, task: asyncio.Task[Any] | None) -> None:
        """Ends the run at a signal; a second one changes nothing, for all is being ended already."""
        if task and not self._ending:
            self._ending = True
            self._signal = number
            task.cancel()

    async def _tell_while_they_run(self, programs: Programs, processes: Processes) -> None:
        """Tells the story, to its end or until a program has ended by itself."""
        story = asyncio.ensure_future(self._tell(programs, processes))
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

    async def _tell(self, programs: Programs, processes: Processes) -> None:
        """Tells the story; what needs Home Assistant is not reached where there is none."""
        run = self._transcript.run
        if await run("platform", lambda step: self._start_platform(programs, step)) and self._platform:
            builder = await programs.start_builder(self._wanted)
            story = Story(self._platform, processes, self._folder, self._password)
            await run("apprise", story.apprise)
            if await run("home_assistant", lambda step: self._start_home_assistant(programs, builder, story, step)):
                await self._platform.post("story", links=[{"title": "Home Assistant", "url": self._home_address}])
                if await run("account", story.account):
                    for name in SENDING:
                        await run(name, getattr(story, name))

    async def _start_platform(self, programs: Programs, step: Step) -> None:
        self._platform = await programs.start_platform(step)
        await self._transcript.show_on(self._platform)

    async def _start_home_assistant(
        self, programs: Programs, builder: asyncio.subprocess.Process, story: Story, step: Step
    ) -> None:
        built = await programs.built(builder, step, self._transcript)
        self._home = story.home = await programs.start_home_assistant(built, self._password, step)

    @property
    def _home_address(self) -> str:
        return f"{self._home.address}/" if self._home else ""

    def _sum_up(self) -> None:
        """Tells what came of it all."""
        say = self._transcript.say
        seconds = time.monotonic() - self._began
        failed = [step for step in self._transcript.steps.values() if not step.held]
        if failed:
            say(f"\n{len(failed)} of {len(STEPS)} steps did not hold:")
            for step in failed:
                say(f"    {step.id}: {step.error or 'not reached'}")
            say(f"    Logs, until the next run: {self._folder.logs}")
        else:
            say(f"\nAll {len(STEPS)} steps held, {seconds:.0f} s after the start.")
        if self._as_json:
            print(json.dumps(self._as_object(seconds), ensure_ascii=False, indent=1), flush=True)

    def _as_object(self, seconds: float) -> dict[str, Any]:
        """Returns the transcript for programs."""
        return {
            "held": self._transcript.held,
            "seconds": round(seconds, 1),
            "folder": str(self._folder.path),
            "phone_page": self._platform.page if self._platform else None,
            "home_assistant": {"address": self._home_address, "username": USERNAME, "password": self._password},
            "steps": [step.as_json() for step in self._transcript.steps.values()],
        }

    async def _stay(self, programs: Programs) -> bool:
        """Stays until it is cancelled, and returns then; or until a program ends by itself: then it returns False."""
        say = self._transcript.say
        say(f"\nPhone page       {self._platform.page if self._platform else ''}")
        say(f"Home Assistant   {self._home_address}   user {USERNAME}, password {self._password}")
        say("Answer on the phone page, or let Home Assistant send. Ctrl-C ends it all.")
        try:
            say(f"\n{await programs.ended}\nLogs, until the next run: {self._folder.logs}")
        except asyncio.CancelledError:
            say("\nEnding ...")
            return True
        return False


def main(arguments: Sequence[str]) -> int:
    """Runs the demo in the environment that this program runs in, and keeps others from changing that meanwhile."""
    options = parser().parse_args(arguments)
    environments = Environments()
    with environments.open(_demo_environments.platform(environments)):
        demo = Demo(once=options.once, as_json=options.json, wanted=options.home_assistant)
        return asyncio.run(demo.run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
