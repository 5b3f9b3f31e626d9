"""`sms1680 apprise url` prints URLs that the real Apprise reads, and the plugin's error names the command."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pty
import string
import subprocess
import sys
from typing import Any
from unittest.mock import Mock

import apprise
import pytest
from hypothesis import given, settings, strategies as st

from sms1680.apprise import NotifySMS1680, register
from sms1680.cli import main
from sms1680.sandbox import SandboxThread

A, B = "13911000000", "13688888888"
SIGNS = string.punctuation + " "
CHARACTERS = st.one_of(st.sampled_from(SIGNS), st.characters(exclude_categories=["Cs"]))
TOKENS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp", "Zs", "Co", "Cn"]), min_size=1)
ROUNDS = int(os.environ.get("SMS1680_URL_ROUNDS", "150"))


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    register()
    for name in ("USERNAME", "PRODUCT_ID", "PASSWORD", "SIGNATURE", "GATEWAY"):
        monkeypatch.delenv(f"SMS1680_{name}", raising=False)


def printed(*arguments: str, password: str) -> dict[str, Any]:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("SMS1680_PASSWORD", password)
        assert main(["apprise", "url", "--json", *arguments]) == 0
    result: dict[str, Any] = json.loads(out.getvalue())
    return result


def read(url: str) -> NotifySMS1680:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # Apprise logs URLs, whose users are Chinese words here
    try:
        service = apprise.Apprise.instantiate(url)
    finally:
        logging.disable(before)
    assert isinstance(service, NotifySMS1680)
    return service


@settings(max_examples=ROUNDS, deadline=None)
@given(
    user=TOKENS,
    product=TOKENS.filter(lambda text: ":" not in text),
    # The environment cannot hold a NUL, and a password of 32 hexadecimal digits is refused.
    password=st.text(CHARACTERS, min_size=1).filter(lambda text: "\0" not in text and len(text) != 32),
    signature=st.sampled_from(["某某科技", "A&B", "", "100%", "a/b?c"]),
)
def test_printed_url_is_read_back_to_the_same_values(user: str, product: str, password: str, signature: str) -> None:
    given = ["--username=" + user, "--product=" + product, "--signature=" + signature, "--to", A, "--to", f"+86 {B}"]
    result = printed(*given, password=password)
    service = read(result["url"])
    assert (service.user, service.password, service.product_id) == (user, password, product)
    assert list(service.targets) == [A, B]
    assert service.signature == (signature or None)
    assert read(service.url()).password == password


@pytest.mark.parametrize("sign", string.punctuation)
def test_every_sign_in_a_password(sign: str) -> None:
    for password in (sign, f"{sign}a", f"a{sign}", f"a{sign}{sign}b{sign}41", f"%{sign}2F"):
        result = printed("--username", "user", "--product", "61341", "--to", A, password=password)
        assert read(result["url"]).password == password
        assert result["masked"] == "sms1680://u****:****@61341/139****0000/"


@pytest.mark.parametrize("sign", "/?\\[]")
@pytest.mark.parametrize(("language", "says"), [("C", "percent-encode the password"), ("zh_CN", "作百分号编码")])
def test_unencoded_sign_names_the_command(sign: str, language: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", f"{language}.UTF-8")
    logger = Mock()
    monkeypatch.setattr(NotifySMS1680, "logger", logger)
    assert NotifySMS1680.parse_url(f"sms1680://user:pa{sign}ss@61341/{A}?signature=x") is None
    ((form, sentence),) = [call.args for call in logger.error.call_args_list]
    assert form == "sms1680: %s"
    assert says in sentence
    assert "sms1680 apprise url" in sentence
    assert f"pa{sign}ss" not in sentence


@pytest.mark.parametrize("url", [f"sms1680://61341/{A}?to=a@b", f"sms1680://user@61341/{A}", "sms1680://", "x"])
def test_other_urls_are_not_blamed_on_the_password(url: str, caplog: pytest.LogCaptureFixture) -> None:
    NotifySMS1680.parse_url(url)
    assert "percent-encode" not in caplog.text


def start(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sms1680", "apprise", "url", *arguments]
    environment = {**os.environ, "LANG": "C.UTF-8", **variables}
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


ACCOUNT = ("--username", "demo", "--product", "61341", "--to", A)


def test_account_is_checked_by_its_balance() -> None:
    with SandboxThread() as box:
        done = start(*ACCOUNT, "--gateway", box.url, "--check", SMS1680_PASSWORD="demo1680")
        wrong = start(*ACCOUNT, "--gateway", box.url, "--check", SMS1680_PASSWORD="wrong/")
        assert not box.platform.messages
    assert (done.returncode, done.stderr) == (0, "")
    url, masked, checked = done.stdout.splitlines()
    assert read(url).gateway == box.url
    assert "demo1680" not in masked
    assert checked == "The account works: 1000 messages left."
    assert (wrong.returncode, "password is wrong" in wrong.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        ((), {}, "run the command on a terminal"),
        (ACCOUNT, {}, "run the command on a terminal"),
        ((*ACCOUNT, "--to", "555"), {"SMS1680_PASSWORD": "x"}, "not a mainland mobile number"),
        ((*ACCOUNT, "--password-file", "/no/such"), {}, "password file cannot be read"),
        (ACCOUNT, {"SMS1680_PASSWORD": "0" * 32}, "looks like an MD5"),
        ((*ACCOUNT, "--extension", "x"), {"SMS1680_PASSWORD": "x"}, "1 to 20 digits"),
    ],
)
def test_what_is_missing_or_wrong_is_said(arguments: tuple[str, ...], variables: dict[str, str], says: str) -> None:
    done = start(*arguments, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_parts_are_asked_for_and_the_password_is_not_shown() -> None:
    mine, theirs = pty.openpty()
    command = [sys.executable, "-m", "sms1680", "apprise", "url"]
    environment = {**os.environ, "LANG": "C.UTF-8"}
    running = subprocess.Popen(
        command, env=environment, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, start_new_session=True
    )
    os.close(theirs)
    shown = b""
    for prompt, answer in (("username", "demo"), ("product id", "61341"), ("not shown", "se/cret"), ("numbers", A)):
        while prompt.encode() not in shown:
            shown += os.read(mine, 1000)
        os.write(mine, f"{answer}\n".encode())
    out, _ = running.communicate(timeout=60)
    os.close(mine)
    assert read(out.decode().splitlines()[0]).password == "se/cret"
    assert b"se/cret" not in shown
