"""Octets on the standard input of the command line, as scripts really send them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sms1680.sandbox import SandboxThread

OCTETS = {
    "a log line cut by octets": ("后门打开".encode()[:-1], "后门打\ufffd"),
    "a script saved as latin-1": ("Tür auf".encode("latin-1"), "T\ufffdr auf"),
    "a script saved on a Chinese Windows": ("后门打开，请检查\r\n".encode("gb18030"), "后门打开，请检查"),
    "a text with a BOM and colours": ("\x1b[31m后门\x1b[0m打开\n".encode("utf-8-sig"), "后门打开"),
}


@pytest.mark.parametrize("kind", OCTETS)
def test_octets_are_sent(kind: str, box: SandboxThread) -> None:
    octets, right = OCTETS[kind]
    account = {"SMS1680_USERNAME": "demo", "SMS1680_PASSWORD": "demo1680", "SMS1680_PRODUCT_ID": "61341"}
    variables = {**os.environ, **account, "SMS1680_GATEWAY": box.url, "LC_ALL": "C.UTF-8", "no_proxy": "127.0.0.1"}
    command = [sys.executable, "-m", "sms1680", "send", "--json", "--to", "13911000000", "-"]
    done = subprocess.run(command, input=octets, env=variables, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert [message.text for message in box.platform.messages] == [right]
    assert json.loads(done.stdout)["receipts"][0]["outcome"] == "accepted"


def test_estimate_warns_of_what_is_removed_and_not_shown() -> None:
    text = "【告警】后门\u200b😀"
    command = [sys.executable, "-m", "sms1680", "estimate", "--json", "--signature", "某某科技", text]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    warnings = {one["concern"]: one["found"] for one in json.loads(done.stdout)["warnings"]}
    assert warnings == {"second_signature": "【告警】", "unshown": "😀", "hidden": "U+200B"}
