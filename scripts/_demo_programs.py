"""What `scripts/demo` starts: the platform, the making of Home Assistant's environment, and Home Assistant."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import _demo_environments
import aiohttp
from _demo_home_assistant import HomeAssistant, configure
from _demo_platform import Account, Platform
from _demo_processes import DemoError, Processes, RunFolder, free_port, until
from _demo_steps import last_words
from _demo_transcript import Step, Transcript
from _environments import ROOT, Environments, clean_environment

USERNAME = "demo"
ACCOUNT_PASSWORD = "demo1680"  # noqa: S105 - of a platform that only this demo talks to
LONGEST_START = 180.0


class Programs:
    """Starts the programs of one run.

    ended: a sentence once one of them has ended by itself, without which there is nothing left to look at.
    """

    def __init__(
        self, session: aiohttp.ClientSession, processes: Processes, folder: RunFolder, in_use: ExitStack
    ) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._watching: list[asyncio.Task[None]] = []
        self._session = session
        self._processes = processes
        self._folder = folder
        self._in_use = in_use  # the environments that must not change meanwhile
        self._environments = Environments()

    async def start_platform(self, step: Step) -> Platform:
        """Starts the platform on a free port, and tells where its page is."""
        log = self._folder.logs / "platform.log"
        program = Path(sys.executable).with_name("sms1680")
        process = await self._processes.start(
            [
                program,
                "sandbox",
                "--port",
                "0",
                "--cmpp-port",
                "0",
                "--username",
                USERNAME,
                "--rate",
                "100",
                "--report-delay",
                "0.5",
                "--json",
            ],
            {**self._folder.variables(), "SMS1680_SANDBOX_PASSWORD": ACCOUNT_PASSWORD},
            self._folder.path,
            log=log,
            piped=True,
        )
        self._watch(process, "The platform", log)
        line = await asyncio.wait_for(piped(process.stdout).readline(), LONGEST_START)
        with log.open("ab") as output:
            output.write(line)
        told = json.loads(line)
        account = Account(told["gateway"], told["username"], ACCOUNT_PASSWORD, told["product_id"], told["cmpp"])
        platform = Platform(self._session, account)
        step.lines.append(f"Phone page: {platform.page}  (it shows how the rest is coming along)")
        return platform

    async def start_builder(self, wanted: str) -> asyncio.subprocess.Process:
        """Begins to make Home Assistant's environment, where it is not there yet."""
        # With the user's own settings of index, mirror and proxy.
        variables = {**clean_environment(), "TMPDIR": str(self._folder.path / "tmp")}
        program = ROOT / "scripts" / "_demo_environments.py"
        return await self._processes.start([sys.executable, program, wanted], variables, ROOT, piped=True)

    async def built(self, builder: asyncio.subprocess.Process, step: Step, transcript: Transcript) -> str:
        """Waits for Home Assistant's environment, passing on how it comes along; returns its name."""
        began = time.monotonic()
        said = ""
        while True:
            try:
                line = await asyncio.wait_for(piped(builder.stderr).readline(), 1.0)
            except asyncio.TimeoutError:
                step.detail = f"{said} {time.monotonic() - began:.0f} s".strip()
                await transcript.show(step, "running")
                continue
            if not line:
                break
            said = line.decode("utf-8", "replace").strip()
            transcript.say(f"    {said}")
        answer = await piped(builder.stdout).read()
        if await builder.wait() != 0:
            raise DemoError(f"no Home Assistant can be had here: {said}")
        return str(json.loads(answer)["environment"])

    async def start_home_assistant(self, built: str, password: str, step: Step) -> HomeAssistant:
        """Starts Home Assistant on a free port with the environment of this name, and makes its owner."""
        release, recipe = _demo_environments.HOMES[built]
        environment = self._in_use.enter_context(self._environments.open(recipe))
        began = time.monotonic()
        config = self._folder.path / "config"
        port = free_port()
        configure(config, release, port)
        log = self._folder.logs / "home-assistant.log"
        variables = self._folder.variables()
        process = await self._processes.start(
            [environment.python, "-m", "homeassistant", "--config", config, "--skip-pip", "--log-no-color"],
            {**variables, "PATH": f"{environment.folder / 'bin'}:{variables.get('PATH', '')}"},
            config,
            log=log,
        )
        self._watch(process, "Home Assistant", log)
        home = HomeAssistant(self._session, f"http://127.0.0.1:{port}")
        await until(home.answers, "answer of Home Assistant", LONGEST_START)
        await home.sign_up(USERNAME, password)
        home.version = await until(home.running, "Home Assistant that is fully up", LONGEST_START)
        await home.connect()
        seconds = time.monotonic() - began
        step.lines.append(
            f"Home Assistant {home.version} with Python {environment.python_version} on {home.address}, "
            f"up in {seconds:.1f} s"
        )
        step.facts.update(version=home.version, start_seconds=round(seconds, 1))
        step.detail = home.version
        return home

    def _watch(self, process: asyncio.subprocess.Process, name: str, log: Path) -> None:
        async def watch() -> None:
            code = await process.wait()
            if not self.ended.done():
                self.ended.set_result(f"{name} has ended by itself with exit code {code}: {last_words(log)}")

        self._watching.append(asyncio.create_task(watch()))


def piped(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    """Returns a pipe that was asked for. Raises DemoError where it was not."""
    if stream is None:
        raise DemoError("this program's output goes elsewhere")
    return stream
