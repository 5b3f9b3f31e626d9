"""Fixtures: a sandbox, the service in this process, and Apprise in other Python environments, as in host programs."""

import os
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import apprise
import pytest
from support.environments import UnavailableError, make as make_environment
from support.log_watch import LogWatch
from support.wheel import build

from sms1680.apprise import register
from sms1680.apprise.dropin import make
from sms1680.apprise.plugin import NotifySMS1680
from sms1680.sandbox import Config, SandboxThread

Service = apprise.NotifyBase
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register sms1680://, as the wheel's loader does, and bypass the machine's proxies."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from the imports of Apprise's other services
        assert register()


@pytest.fixture
def box() -> Iterator[SandboxThread]:
    with SandboxThread(Config(report_delay=0.0)) as running:
        yield running


@pytest.fixture
def url(box: SandboxThread) -> Callable[..., str]:
    """Return a function that makes URLs for the sandbox, with targets and options."""

    def make_url(*targets: str, user: str = "demo:demo1680", product: str = "61341", **options: str) -> str:
        asked = urlencode({"gateway": box.url, **options})
        return f"sms1680://{user}@{product}/{'/'.join(targets)}?{asked}"

    return make_url


@pytest.fixture
def service(url: Callable[..., str]) -> Callable[..., Service]:
    """Return a function that makes the service of such a URL, as Apprise does."""

    def make_service(*targets: str, **options: str) -> Service:
        made = apprise.Apprise.instantiate(url(*targets, **options), suppress_exceptions=False)
        assert isinstance(made, apprise.NotifyBase)
        return made

    return make_service


@pytest.fixture(scope="session")
def dropin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a plugin folder with the drop-in."""
    return make(tmp_path_factory.mktemp("plugins")).parent


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of the test session, or build one."""
    given = os.environ.get("SMS1680_WHEEL")
    return Path(given) if given else build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def with_loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for PYTHONPATH: a copy of Apprise with our loader among its plugins, as the wheel installs it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(Path(apprise.__file__).parent, folder / "apprise", ignore=shutil.ignore_patterns("__pycache__"))
    loader = Path(sys.modules["sms1680.apprise"].__path__[0]) / "loader" / "sms1680.py"
    if loader.is_file():  # an editable install; the wheel installs it itself
        shutil.copy(loader, folder / "apprise" / "plugins")
    assert (folder / "apprise" / "plugins" / "sms1680.py").is_file()
    return folder


@pytest.fixture(autouse=True)
def _texts_stay_out_of_logs(log_watch: LogWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the check of the logs know the texts that Apprise passes to the plugin."""
    send = NotifySMS1680.send

    def watched(plugin: NotifySMS1680, body: str, title: str = "", **kwargs: Any) -> bool:
        log_watch.add_text([body, title])
        return send(plugin, body, title, **kwargs)

    monkeypatch.setattr(NotifySMS1680, "send", watched)


@pytest.fixture
def program(tmp_path: Path, log_watch: LogWatch) -> Program:
    """Return a function that runs the real `apprise` of this or another Python with a temporary home."""

    def run(*arguments: str, python: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        script = (python or Path(sys.executable)).with_name("apprise")
        return start([str(script), *arguments], tmp_path, variables, log_watch)

    return run


@pytest.fixture
def script(tmp_path: Path, log_watch: LogWatch) -> Program:
    """Return a function that runs Python source code with this or another Python."""

    def run(
        text: str, *arguments: str, python: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return start([str(python or sys.executable), "-P", "-c", text, *arguments], tmp_path, variables, log_watch)

    return run


def start(
    command: list[str], home: Path, variables: dict[str, str], log_watch: LogWatch
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home), "PYTHONIOENCODING": "utf-8", **variables}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home, timeout=120, check=False)
    log_watch.add_output(f"{done.stdout}\n{done.stderr}")
    return done


@pytest.fixture(scope="session")
def python_with() -> Callable[..., Path]:
    """Return a function that creates an environment with some packages, once, in .venv."""

    def get(name: str, *steps: Sequence[str], wheel: Path | None = None) -> Path:
        try:
            return make_environment(name, *steps, wheel=wheel)
        except UnavailableError as error:
            pytest.skip(f"no package index within reach: {error}")

    return get


@pytest.fixture
def free_port() -> int:
    """Return a closed port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="session", params=["1.11.0", "1.13.1", "newest"])
def alone(request: pytest.FixtureRequest, python_with: Callable[..., Path]) -> Path:
    """Return a Python with only an Apprise that retries, without httpx. The oldest one has an old urllib3."""
    if request.param == "newest":
        return python_with("apprise-newest", ("apprise",))
    old = ("urllib3<2",) if request.param == "1.11.0" else ()
    return python_with(f"apprise-{request.param}", (f"apprise=={request.param}", *old))
