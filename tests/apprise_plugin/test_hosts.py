"""Real host programs, each in another process, with the sandbox."""

import contextlib
import json
import os
import re
import smtplib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

import apprise
import pytest
from support import ROOT

from sms1680.apprise.dropin import make
from sms1680.sandbox import SandboxThread

A, B, C = "13800000000", "13900000001", "13700000002"
TEXT = "[✅ 网站] [🔴 Down] ERROR 500 后门"
VERSIONS = {
    "changedetection.io": "0.60.10",
    "mailrise": "1.4.0",
    "borgmatic": "2.1.10",
    "Prefect": "3.9.1",
    "Airflow": "3.3.2",
}
# The host brings its own Apprise, so that one lane is enough.
ONCE = pytest.mark.skipif(apprise.__version__ < "2", reason="core-newest tests this program with its own Apprise")
Program = Callable[..., subprocess.CompletedProcess[str]]
Url = Callable[..., str]


def texts(box: SandboxThread) -> list[tuple[str, str]]:
    return [(message.number, message.text) for message in box.platform.messages]


class Kuma:
    """Runs `apprise -vv -b MSG URL` for each notification and reads its output, like Uptime Kuma."""

    def __init__(self, program: Program, python: Path | None, home: Path) -> None:
        self.program, self.python = program, python
        make(home / ".config" / "apprise" / "plugins")

    def says_sent(self, url: str, message: str = TEXT, *more: str) -> bool:
        done = self.program("-vv", "-b", message, url, *more, python=self.python)
        assert "13800000000" not in done.stdout + done.stderr
        assert message not in done.stdout + done.stderr
        return bool(done.stdout) and "ERROR" not in done.stdout


@pytest.fixture
def kuma(program: Program, tmp_path: Path) -> Kuma:
    return Kuma(program, None, tmp_path)


@pytest.fixture
def kuma_without_httpx(program: Program, alone: Path, tmp_path: Path) -> Kuma:
    return Kuma(program, alone, tmp_path)


def test_uptime_kuma(kuma: Kuma, url: Url, box: SandboxThread) -> None:
    assert kuma.says_sent(url(A, B))
    assert kuma.says_sent(url(A), TEXT, "-t", "标题")
    assert texts(box) == [(A, TEXT), (B, TEXT), (A, f"标题\n{TEXT}")]
    for fault in ("drop_after", "html"):
        box.call(lambda platform, fault=fault: platform.faults.next(fault))
        assert not kuma.says_sent(url(A), f"{TEXT}{fault}")
    assert not kuma.says_sent(url(A, user="demo:wrong"))


# Starts the command as Uptime Kuma 2.5 does, and prints what its user sees, then its log.
KUMA = """
const {spawn} = require("promisify-child-process");
(async () => {
    let shown;
    try {
        const {stdout} = await spawn("apprise", ["-vv", "-b", ...process.argv.slice(1)], {encoding: "utf8"});
        shown = stdout && !stdout.includes("ERROR") ? "Sent Successfully." : stdout;
    } catch (error) {
        shown = error.message;
        console.error(error);
    }
    console.log(shown);
})();
"""


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the package through which Uptime Kuma 2.5 starts commands."""
    folder = tmp_path_factory.mktemp("node")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), "promisify-child-process@4.1.2"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no Node.js here")
    if done.returncode != 0:
        pytest.skip(f"no package index within reach: {done.stderr}")
    return folder / "node_modules"


@ONCE
@pytest.mark.usefixtures("kuma_without_httpx")
def test_uptime_kuma_shows_the_reason_of_an_optional_service(
    node_modules: Path, url: Url, alone: Path, tmp_path: Path
) -> None:
    variables = {
        **os.environ,
        "HOME": str(tmp_path),
        "NODE_PATH": str(node_modules),
        "PATH": f"{alone.parent}:{os.environ['PATH']}",
    }

    def shown(address: str) -> tuple[str, str]:
        command = ["node", "-e", KUMA, "--", TEXT.replace("ERROR", ""), address]
        done = subprocess.run(command, capture_output=True, text=True, env=variables, check=True)
        return done.stdout, done.stderr

    user_sees, log = shown(url(A, user="demo:wrong"))
    assert user_sees == "Process exited with code 1\n"
    assert "The user name or the password is wrong" in log
    user_sees, _ = shown(url(A, user="demo:wrong", optional="yes"))
    assert "ERROR" in user_sees
    assert "The user name or the password is wrong" in user_sees


def test_uptime_kuma_without_httpx(kuma_without_httpx: Kuma, url: Url, box: SandboxThread) -> None:
    assert kuma_without_httpx.says_sent(url(A, batch="no", dedupe="60"))
    assert kuma_without_httpx.says_sent(url(A, batch="no", dedupe="60"))
    box.call(lambda platform: platform.faults.next("half"))  # which urllib3 1.26 accepts as a complete response
    assert not kuma_without_httpx.says_sent(url(B))
    assert texts(box) == [(A, TEXT), (B, TEXT)]


def test_configuration_file_with_tags(
    program: Program, with_loader: Path, url: Url, box: SandboxThread, tmp_path: Path
) -> None:
    (tmp_path / "alarm.yaml").write_text(
        json.dumps(  # JSON is valid YAML
            {
                "urls": [
                    {url(): [{"to": int(A), "tag": "family"}, {"to": [B, int(C)], "tag": "neighbours"}]},
                    {url(B, sign="某某"): [{"tag": "signed", "extension": "012", "password": "demo1680"}]},
                ]
            }
        ),
        encoding="utf-8",
    )

    def notify(tag: str) -> int:
        box.call(lambda platform: platform.messages.clear())
        arguments = ("-c", str(tmp_path / "alarm.yaml"), "-g", tag, "-b", TEXT)
        return program(*arguments, PYTHONPATH=str(with_loader)).returncode

    assert notify("family") == 0
    assert texts(box) == [(A, TEXT)]
    assert notify("neighbours") == 0
    assert texts(box) == [(B, TEXT), (C, TEXT)]
    assert notify("signed") == 0
    assert texts(box) == [(B, f"【某某】{TEXT}")]
    assert box.platform.messages[0].extension == "012"
    assert notify("nobody") != 0


# Makes the calls that changedetection.io makes when a watched page changes, once in each format.
CHANGED = """
import sys
from changedetectionio.notification.handler import process_notification
from changedetectionio.notification_service import NotificationContextData
url, *formats = sys.argv[1:]
for format in formats:
    class Datastore:
        application = {"notification_format": format, "base_url": "", "active_base_url": "", "llm": {}}
        data = {"settings": {"application": application}, "watching": {}}
    process_notification(NotificationContextData({
        "notification_urls": [url], "notification_title": "标题", "notification_format": format, "uuid": "x",
        "notification_body": "ERROR {{watch_url}}\\n{{diff}}", "watch_url": "https://example.com",
        "prev_snapshot": "现价 100 元\\n有货\\n", "current_snapshot": "现价 99 元\\n有货\\n包邮\\n",
    }), Datastore())
"""


@pytest.fixture(scope="module")
def changedetection(python_with: Callable[..., Path], wheel: Path) -> Path:
    """Return changedetection.io with the dependencies of its notifications; all dependencies take half a gigabyte."""
    needed = (
        "apprise==2.0.1 loguru flask flask-babel brotli diff-match-patch chardet pydantic panzi-json-logic pluggy pytz"
    )
    more = "requests[socks] jinja2 linkify-it-py websockets"
    return python_with(
        "changedetection",
        ("--no-deps", f"changedetection.io=={VERSIONS['changedetection.io']}"),
        (*needed.split(), *more.split()),
        wheel=wheel,
    )


def test_changedetection(changedetection: Path, script: Program, url: Url, box: SandboxThread) -> None:
    changes = {
        "htmlcolor": "现价 [100→99] 元\n[→包邮]",
        "markdown": "现价 [100→]99 元\n包邮",
        "html": "现价 (removed) 100(added) 99 元\n(added) 包邮",
        "text": "(changed) 现价 100 元\n(into) 现价 99 元\n(added) 包邮",
    }
    done = script(CHANGED, url(A), *changes, python=changedetection)
    assert done.returncode == 0, done.stderr
    assert texts(box) == [(A, f"标题\nERROR https://example.com\n{change}") for change in changes.values()]
    box.call(lambda platform: platform.faults.next("drop_after"))
    done = script(CHANGED, url(B), "text", python=changedetection)
    assert done.returncode != 0
    assert "It may have arrived" in done.stderr
    assert len(texts(box)) == len(changes) + 1


@pytest.fixture
def mailrise(python_with: Callable[..., Path], wheel: Path, url: Url, free_port: int, tmp_path: Path) -> Iterator[int]:
    """Run Mailrise, which turns e-mail into notifications, with the Apprise that the pages name.

    Mailrise 1.4.0 asks for a theme of None, which Apprise rejects since 2.3.
    """
    python = python_with(
        "mailrise", (f"mailrise=={VERSIONS['mailrise']}",), ("--upgrade", documented_apprise()), wheel=wheel
    )
    config = tmp_path / "mailrise.conf"
    alarm = {"urls": [url(A, B)], "mailrise": {"title_template": "$subject"}}
    settings = {"configs": {"alarm": alarm}, "listen": {"host": "127.0.0.1", "port": free_port}}
    config.write_text(json.dumps(settings))
    command = [str(python.with_name("mailrise")), "-vv", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(free_port, process)
            yield free_port
        finally:
            process.terminate()


def documented_apprise() -> str:
    pages = [ROOT / "docs" / "apprise.md", ROOT / "docs" / "apprise.zh-Hans.md"]
    named = {name for page in pages for name in re.findall(r'pip install -U "(\S+)"', page.read_text("utf-8"))}
    (name,) = named
    return str(name)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    pause = threading.Event()
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, "it ended"
        pause.wait(0.05)
    raise AssertionError("it never listened")


def mail(port: int) -> int:
    """Send a mail and return the code of the answer."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "nas@home.example", "alarm@mailrise.xyz", "硬盘"
    message.set_content(TEXT)
    with smtplib.SMTP("127.0.0.1", port, timeout=120) as smtp:
        try:
            smtp.send_message(message)
        except smtplib.SMTPDataError as error:
            return error.smtp_code
    return 250


def test_mailrise(mailrise: int, box: SandboxThread) -> None:
    assert mail(mailrise) == 250
    box.wait_for(lambda platform: len(platform.messages) == 2)
    assert [number for number, _ in texts(box)] == [A, B]
    (text,) = {text for _, text in texts(box)}
    assert text == f"硬盘\n{TEXT}"  # by default, the title ends with the sender's address


def test_mailrise_repeats_a_failed_mail_without_a_second_message(mailrise: int, box: SandboxThread) -> None:
    box.call(lambda platform: platform.faults.next("failed"))
    assert mail(mailrise) == 450
    assert mail(mailrise) == 250  # certainly not sent before
    assert len(texts(box)) == 2
    box.call(lambda platform: platform.faults.next("drop_after"))
    assert [mail(mailrise) for _ in range(3)] == [450] * 3
    assert len(texts(box)) == 4


BORGMATIC = """
source_directories: [/nonexistent]
repositories: [{{path: {folder}/repository}}]
local_path: {folder}/no-borg
apprise:
    services: [{{url: "{url}", label: sms}}]
    fail: {{title: 备份失败, body: NAS 的备份没有完成}}
"""


@ONCE
def test_borgmatic(python_with: Callable[..., Path], wheel: Path, url: Url, box: SandboxThread, tmp_path: Path) -> None:
    python = python_with("borgmatic", (f"borgmatic=={VERSIONS['borgmatic']}", "apprise"), wheel=wheel)
    (tmp_path / "config.yaml").write_text(BORGMATIC.format(folder=tmp_path, url=url(A)), "utf-8")
    command = [str(python.with_name("borgmatic")), "create", "--config", str(tmp_path / "config.yaml")]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "HOME": str(tmp_path)}, check=False
    )
    assert done.returncode != 0  # there is no Borg
    assert texts(box) == [(A, "备份失败\nNAS 的备份没有完成")], done.stderr


PREFECT = """
import sys
from prefect.blocks.notifications import AppriseNotificationBlock
from pydantic import SecretStr

class SMS(AppriseNotificationBlock):
    pass

for url in sys.argv[1:]:
    block = SMS(url=SecretStr(url))
    with block.raise_on_failure():
        block.notify("夜间任务没有完成", subject="任务失败")
"""


@ONCE
def test_prefect(python_with: Callable[..., Path], wheel: Path, script: Program, url: Url, box: SandboxThread) -> None:
    python = python_with("prefect", (f"prefect=={VERSIONS['Prefect']}",), wheel=wheel)
    done = script(PREFECT, url(A), url(A, user="demo:wrong"), python=python)
    assert texts(box) == [(A, "任务失败\n夜间任务没有完成")], done.stderr
    assert done.returncode != 0
    assert "NotificationError" in done.stderr


AIRFLOW = """
from airflow.providers.apprise.hooks.apprise import AppriseHook

for connection in ("sms", "wrong"):
    AppriseHook(connection).notify(title="任务失败", body="夜间任务没有完成")
"""


@ONCE
def test_airflow(
    python_with: Callable[..., Path], wheel: Path, script: Program, url: Url, box: SandboxThread, tmp_path: Path
) -> None:
    python = python_with(
        "airflow", ("apache-airflow-providers-apprise==2.4.1", f"apache-airflow=={VERSIONS['Airflow']}"), wheel=wheel
    )
    variables = {
        f"AIRFLOW_CONN_{name}": json.dumps({"conn_type": "apprise", "extra": {"config": {"path": address}}})
        for name, address in {"SMS": url(A), "WRONG": url(A, user="demo:wrong")}.items()
    }
    done = script(AIRFLOW, python=python, AIRFLOW_HOME=str(tmp_path), **variables)
    assert done.returncode == 0, done.stderr  # the hook ignores the result
    assert texts(box) == [(A, "任务失败\n夜间任务没有完成")]
    assert "The user name or the password is wrong" in done.stdout + done.stderr


@pytest.mark.parametrize("readme", ["README.md", "README.zh-Hans.md"])
def test_readme_names_the_versions_of_these_tests(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    assert [
        host for host, version in VERSIONS.items() if not re.search(rf"^\| {host} \| {version}\b", text, re.MULTILINE)
    ] == []


@pytest.mark.parametrize(("status", "kind"), [("down", "FAILURE"), ("up", "SUCCESS")])
def test_calls_of_healthchecks(url: Url, box: SandboxThread, status: str, kind: str) -> None:
    """Healthchecks is not on PyPI: these are the calls of hc/integrations/apprise/transport.py."""
    sender = apprise.Apprise()
    sender.add(url(A))
    title, body = f"备份 is {status.upper()}", "The last ping was 2 小时 ago."
    assert sender.notify(body=body, title=title, notify_type=getattr(apprise.NotifyType, kind))
    assert texts(box) == [(A, f"{title}\n{body}")]
    box.call(lambda platform: platform.faults.next("failed"))
    assert not sender.notify(body=body, title=title, notify_type=getattr(apprise.NotifyType, kind))
