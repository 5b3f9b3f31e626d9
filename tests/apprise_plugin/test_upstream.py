"""Runs Apprise's own service tests on our service. They are downloaded from Apprise's source package once."""

import fcntl
import importlib.util
import logging
import os
import subprocess
import sys
import tarfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import apprise
import pytest
import requests
from apprise.manager_plugins import NotificationManager
from support.environments import TOOLS, VENV
from support.pages import examples

from sms1680.apprise import NotifySMS1680
from sms1680.sandbox import SandboxThread

A, B = "13800000000", "13900000001"
GOOD = {"instance": NotifySMS1680, "requests_response_text": "1,20170408", "requests_response_code": 200}
BAD = {"instance": NotifySMS1680, "notify_response": False}

CASES: list[tuple[str, dict[str, Any]]] = [
    # The tester notifies one number more often than the spending guard allows, hence cap=0.
    ("sms1680://", {"instance": TypeError}),
    ("sms1680://:@/", {"instance": TypeError}),
    (f"sms1680://user@61341/{A}", {"instance": TypeError}),
    (f"sms1680://user:secret@61341/{A}?cap=0", {**GOOD, "privacy_url": "sms1680://u...r:****@61341/138****0000/"}),
    (f"sms1680://user:secret@61341/{A}/{B}?batch=no&cap=0", GOOD),
    (
        f"sms1680://user:secret@YrJr/?to={A},{B}&gateway=https://sms.example&sign=x&xh=08&stamp=yes&rate=1000&cap=0",
        GOOD,
    ),
    # Apprise 2.3 drops a wait of 0 when it builds a URL from fields, for its own services too.
    (f"sms1680://user:secret@61341/{A}?dedupe=0&retry=2&wait=0.01&cap=0", GOOD),
    (f"sms1680://user:secret@61341/{A}?format=html&cap=0", GOOD),
    (f"sms1680://user:secret@61341/{A}/10086", {**GOOD, "notify_response": False}),
    ("sms1680://user:secret@61341/", {**BAD, "response": False, "requests_response_text": "1,2"}),
    (f"sms1680://user:secret@61341/{A}", {**BAD, "response": False, "requests_response_code": 500}),
    (f"sms1680://user:secret@61341/{A}", {**BAD, "response": False, "requests_response_code": 999}),
    (f"sms1680://user:secret@61341/{A}", {**BAD, "test_requests_exceptions": True}),
]


class Response(mock.MagicMock):
    """The tester's mock response, with the attributes of a real one that it lacks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.headers = {}
        self.raw = types.SimpleNamespace(stream=lambda *_, **__: iter([self.content or b""]))


@pytest.fixture(scope="module")
def sources() -> Path:
    """Return the folder of Apprise's own tests, of the installed version."""
    folder = VENV / "apprise-sources"
    name = f"apprise-{apprise.__version__}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / name).is_dir():
            fetch = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "apprise", "--dest", str(folder)]
            command = [str(TOOLS / "python"), *fetch, name.replace("-", "==")]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"Apprise's sources are not available: {done.stderr.strip().splitlines()[-1:]}")
            with tarfile.open(folder / f"{name}.tar.gz") as packed:
                packed.extractall(folder, filter="data")
    (tests,) = (found for found in (folder / name / "tests", folder / name / "test") if found.is_dir())
    return tests


@pytest.fixture
def load(sources: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], types.ModuleType]]:
    """Return a function that loads one of Apprise's test modules; afterwards, undo their `logging.disable`."""

    def load_module(path: str) -> types.ModuleType:
        spec = importlib.util.spec_from_file_location(f"apprise_{Path(path).stem}", sources / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    monkeypatch.syspath_prepend(str(sources))
    before = set(sys.modules)
    yield load_module
    logging.disable(logging.NOTSET)
    for name in set(sys.modules) - before:
        if name.startswith("helpers"):
            del sys.modules[name]


def post(session: requests.Session, url: str, **options: Any) -> requests.Response:
    """Post with the function that the tester replaces. Its errors count as those of a request that has begun."""
    session.get_adapter(url)._exchange.check(begins=True)  # type: ignore[attr-defined]
    return requests.post(url, **options)


@pytest.mark.parametrize(("url", "expected"), CASES)
def test_passes_apprises_own_tester(
    load: Callable[[str], types.ModuleType],
    url: str,
    expected: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rest = load("helpers/rest.py")
    # Replaces only the mock responses of the tester.
    monkeypatch.setattr(rest, "mock", types.SimpleNamespace(Mock=Response, patch=mock.patch))
    # It also replaces `requests.post`. The plugin posts with a session of its own, whose connection it can cut.
    monkeypatch.setattr(requests.Session, "post", post)
    rest.AppriseURLTester(tests=((url, expected),)).run_all(str(tmp_path))


def test_details_pass_apprises_own_check(load: Callable[[str], types.ModuleType]) -> None:
    details = apprise.Apprise().details()
    assert [row["service_name"] for row in details["schemas"]].count("SMS 1680") == 1
    os.environ.pop("LANG", None)
    load("test_api.py").test_apprise_details_plugin_verification()


OFFERED: list[tuple[str, dict[str, Any]]] = [
    ("sms1680://", {"instance": TypeError}),
    (f"sms1680://user@61341/{A}", {"instance": TypeError}),
    (f"sms1680://user:secret@61341/{A}?gateway=ftp://x", {"instance": TypeError}),
    (f"sms1680://user:secret@61341/{A}", {"privacy_url": "sms1680://user:****@61341/...0000/"}),
    (f"sms1680://user:secret@61341/?to={A}，{B}&batch=yes&from=08&signature=某某&gateway=https://sms.example", {}),
    (f"sms1680://user:secret@61341/{A}/10086", {"notify_response": False}),
    ("sms1680://user:secret@61341/", {"response": False}),
    (f"sms1680://user:secret@61341/{A}", {"response": False, "requests_response_text": "-1"}),
    (f"sms1680://user:secret@61341/{A}", {"response": False, "requests_response_code": 500}),
    (f"sms1680://user:secret@61341/{A}", {"response": False, "test_requests_exceptions": True}),
]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the class of docs/upstream.md, in the place of ours."""
    if apprise.__version__ < "2":
        pytest.skip("the class is for the current Apprise")
    (example,) = [each for each in examples("docs/upstream") if each.kind == "upstream"]
    module = types.ModuleType("apprise.plugins.sms1680_offered")
    module.__package__ = "apprise.plugins"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(example.text, "docs/upstream.md", "exec"), module.__dict__)
    manager = NotificationManager()
    manager.remove("sms1680")
    assert manager.add(module.NotifySMS1680)
    yield module.NotifySMS1680
    manager.remove("sms1680")


@pytest.mark.parametrize(("url", "expected"), OFFERED)
def test_offered_class_passes_apprises_own_tester(
    load: Callable[[str], types.ModuleType], offered: Any, url: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    good = {"instance": offered, "requests_response_text": "1,20170408", "requests_response_code": 200}
    load("helpers/rest.py").AppriseURLTester(tests=((url, {**good, **expected}),)).run_all(str(tmp_path))


def test_offered_class_passes_apprises_check_of_details(load: Callable[[str], types.ModuleType], offered: Any) -> None:
    assert offered in NotificationManager().plugins()
    load("test_api.py").test_apprise_details_plugin_verification()


def test_offered_class_sends(offered: Any, url: Callable[..., str], box: SandboxThread) -> None:
    sender = apprise.Apprise()
    assert sender.add(url(A, B, signature="某某", batch="yes", extension="12"))
    assert isinstance(sender[0], offered)
    assert sender.notify("后门打开", title="报警")
    assert [(message.number, message.text, message.extension) for message in box.platform.messages] == [
        (number, "【某某】报警\n后门打开", "12") for number in (A, B)
    ]
