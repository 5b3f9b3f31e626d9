"""Start the platform, the installation of Home Assistant, and Home Assistant."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import aiohttp

from . import ROOT
from .home_assistant import VERSIONS, HomeAssistant, configure
from .platform import Account, Platform
from .processes import DemoError, Processes, RunFolder, free_port, until
from .transcript import Step, Transcript

USERNAME = "demo"
ACCOUNT_PASSWORD = "demo1680"  # noqa: S105 - of a platform that only this demo uses
START_TIMEOUT = 180.0
VENV = ROOT / ".venv"


class Programs:
    """Starts the programs of one run.

    ended: a sentence, once one of them has ended by itself and the demo can't go on.
    """

    def __init__(self, session: aiohttp.ClientSession, processes: Processes, folder: RunFolder) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._watching: list[asyncio.Task[None]] = []
        self._session = session
        self._processes = processes
        self._folder = folder

    async def start_platform(self, step: Step) -> Platform:
        """Start the platform on a free port."""
        log = self._folder.logs / "platform.log"
        options = f"--port 0 --cmpp-port 0 --username {USERNAME} --rate 100 --report-delay 0.5 --json"
        process = await self._processes.start(
            [Path(sys.executable).with_name("sms1680"), "sandbox", *options.split()],
            {**self._folder.variables(), "SMS1680_SANDBOX_PASSWORD": ACCOUNT_PASSWORD},
            self._folder.path,
            log=log,
            piped=True,
        )
        self._watch(process, "The platform", log)
        line = await asyncio.wait_for(pipe(process.stdout).readline(), START_TIMEOUT)
        with log.open("ab") as output:
            output.write(line)
        fields = json.loads(line)
        account = Account(fields["gateway"], fields["username"], ACCOUNT_PASSWORD, fields["product_id"], fields["cmpp"])
        platform = Platform(self._session, account)
        step.lines.append(f"Phone page: {platform.page}  (it shows the progress of the demo)")
        return platform

    async def start_install(self, end: str) -> asyncio.subprocess.Process:
        """Start to install the `newest` or `oldest` Home Assistant into the environment of its lane, if need be."""
        command = f"-m nox -f noxfile.py --install-only --error-on-missing-interpreters -s ha-{end}"
        # With the user's own settings of index, mirror and proxy.
        return await self._processes.start([VENV / "tools/bin/python", *command.split()], os.environ, ROOT, piped=True)

    async def installed(self, end: str, install: asyncio.subprocess.Process, step: Step, transcript: Transcript) -> str:
        """Wait for Home Assistant's environment and show the progress; return the end of the range that it is of."""
        began = time.monotonic()
        said = ""
        while True:
            try:
                line = await asyncio.wait_for(pipe(install.stderr).readline(), 1.0)
            except TimeoutError:
                step.detail = f"{said} {time.monotonic() - began:.0f} s".strip()
                await transcript.show(step, "running")
                continue
            if not line:
                break
            said = line.decode("utf-8", "replace").strip()
            transcript.say(f"    {said}")
        if await install.wait() == 0:
            return end
        if end == "oldest":
            raise DemoError(f"Home Assistant can't be installed here: {said}")
        transcript.say(f"Home Assistant {VERSIONS[end]} can't be installed here; taking {VERSIONS['oldest']}.")
        return await self.installed("oldest", await self.start_install("oldest"), step, transcript)

    async def start_home_assistant(self, end: str, password: str, step: Step) -> HomeAssistant:
        """Start Home Assistant on a free port and create its owner."""
        environment = VENV / f"ha-{end}"
        began = time.monotonic()
        config = self._folder.path / "config"
        port = free_port()
        configure(config, VERSIONS[end], port)
        log = self._folder.logs / "home-assistant.log"
        variables = self._folder.variables()
        process = await self._processes.start(
            [environment / "bin/python", "-m", "homeassistant", "--config", config, "--skip-pip", "--log-no-color"],
            {**variables, "PATH": f"{environment / 'bin'}:{variables.get('PATH', '')}"},
            config,
            log=log,
        )
        self._watch(process, "Home Assistant", log)
        home = HomeAssistant(self._session, f"http://127.0.0.1:{port}")
        await until(home.answers, "answer of Home Assistant", START_TIMEOUT)
        await home.sign_up(USERNAME, password)
        home.version = await until(home.running, "Home Assistant that is fully up", START_TIMEOUT)
        await home.connect()
        seconds = time.monotonic() - began
        step.lines.append(f"Home Assistant {home.version} on {home.address}, up in {seconds:.1f} s")
        step.facts.update(version=home.version, start_seconds=round(seconds, 1))
        step.detail = home.version
        return home

    def _watch(self, process: asyncio.subprocess.Process, name: str, log: Path) -> None:
        async def watch() -> None:
            code = await process.wait()
            if not self.ended.done():
                self.ended.set_result(f"{name} has ended by itself with exit code {code}: {last_lines(log)}")

        self._watching.append(asyncio.create_task(watch()))


def pipe(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    """Return a pipe of a program that was started with pipes."""
    if stream is None:
        raise DemoError("the output of this program goes elsewhere")
    return stream


def last_lines(log: Path) -> str:
    """Return the last lines of a log."""
    return tail(log.read_bytes())


def tail(output: bytes) -> str:
    """Return the last lines of a program's output."""
    return " | ".join(output.decode("utf-8", "replace").strip().splitlines()[-3:]) or "it wrote nothing"
