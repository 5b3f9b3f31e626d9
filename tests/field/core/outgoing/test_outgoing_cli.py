"""Octets on the standard input of the command line, as scripts really send them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from sms1680.sandbox import SandboxThread

A, B = "13911000000", "13688888888"
OCTETS = {
    "a log line cut by octets": ("后门打开".encode()[:-1], "后门打\ufffd"),
    "a script saved as latin-1": ("Tür auf".encode("latin-1"), "T\ufffdr auf"),
    "a script saved on a Chinese Windows": ("后门打开，请检查\r\n".encode("gb18030"), "后门打开，请检查"),
    "a text with a BOM and colours": ("\x1b[31m后门\x1b[0m打开\n".encode("utf-8-sig"), "后门打开"),
}


def send(
    box: SandboxThread, octets: bytes, *options: str, text: bytes = b"-", **more: str
) -> tuple[int, dict[str, Any], str]:
    """Return the exit code, the JSON and the standard error of `sms1680 send`. octets: its standard input."""
    account = {"SMS1680_USERNAME": "demo", "SMS1680_PASSWORD": "demo1680", "SMS1680_PRODUCT_ID": "61341"}
    variables = {**os.environ, **account, "SMS1680_GATEWAY": box.url, "LC_ALL": "C.UTF-8", "no_proxy": "127.0.0.1"}
    command = [sys.executable, "-m", "sms1680", "send", "--json", "--to", A, *options, text]
    done = subprocess.run(
        command, input=octets, env={**variables, **more}, capture_output=True, timeout=60, check=False
    )
    return done.returncode, json.loads(done.stdout), done.stderr.decode()


def sent(box: SandboxThread) -> list[tuple[str, str]]:
    return [(message.number, message.text) for message in box.platform.messages]


@pytest.mark.parametrize("kind", OCTETS)
def test_octets_are_sent(kind: str, box: SandboxThread) -> None:
    octets, right = OCTETS[kind]
    code, told, errors = send(box, octets)
    assert (code, errors) == (0, "")
    assert sent(box) == [(A, right)]
    assert (told["receipts"][0]["outcome"], told["long_text"]) == ("accepted", None)


@pytest.mark.parametrize("kind", [*OCTETS][:3])
def test_octets_of_an_argument_are_sent(kind: str, box: SandboxThread) -> None:
    octets, right = OCTETS[kind]
    code, _, errors = send(box, octets, text=octets.strip())
    assert (code, errors) == (0, "")
    assert sent(box) == [(A, right)]


@pytest.mark.parametrize(
    ("locale", "says"), [("C.UTF-8", "the text was too long and was cut"), ("zh_CN.UTF-8", "内容过长，已截断")]
)
def test_long_text_is_cut_and_says_so(locale: str, says: str, box: SandboxThread) -> None:
    """An alarm of a script with a long log."""
    code, told, errors = send(box, ("警报" * 300).encode(), "--signature", "某某科技", LANG=locale, LC_ALL=locale)
    assert (code, errors) == (0, f"sms1680: {says}\n")
    assert sent(box) == [(A, "【某某科技】" + ("警报" * 300)[:493] + "…")]
    assert (told["receipts"][0]["parts"], told["long_text"]) == (8, "cut")


def test_long_text_is_split_on_request(box: SandboxThread) -> None:
    text = "😀警报 " * 300
    options = ("--signature", "某某科技", "--long-text", "split", "--to", B)
    code, told, errors = send(box, text.encode(), *options)
    assert (code, errors) == (0, "sms1680: the text was too long and was split into 4 messages\n")
    assert told["long_text"] == "split"
    assert [(one["number"], one["outcome"]) for one in told["receipts"]] == [(A, "accepted"), (B, "accepted")]
    for receipt in told["receipts"]:
        messages = [message for message in box.platform.messages if message.number == receipt["number"]]
        pieces = [message.text for message in messages]
        assert "".join(piece.removeprefix(f"【某某科技】({at}/4)") for at, piece in enumerate(pieces, 1)) == text
        assert receipt["parts"] == sum(message.parts for message in messages)


def test_long_text_is_refused_on_request(box: SandboxThread) -> None:
    code, told, errors = send(box, b"x" * 501, "--long-text", "refuse")
    assert (code, told["receipts"], told["long_text"]) == (2, [], None)
    assert "500" in errors
    assert not sent(box)


def test_refused_message_of_a_split_text_does_not_stop_the_others(box: SandboxThread) -> None:
    code, told, _ = send(box, f"发票{'x' * 600}".encode(), "--long-text", "split")
    assert (code, told["receipts"][0]["outcome"], told["receipts"][0]["reason"]) == (4, "refused", "forbidden_words")
    assert [text for _, text in sent(box)] == [f"(2/2){'x' * 107}"]


def test_split_text_is_not_tried_further_without_a_connection(box: SandboxThread) -> None:
    options = ("--long-text", "split", "--patience", "0", "--gateway", "http://127.0.0.1:9")
    code, told, errors = send(box, b"x" * 5000, *options)
    assert (code, told["receipts"][0]["outcome"]) == (5, "not_sent")
    assert "split into 11 messages" in errors


@pytest.mark.parametrize(
    ("locale", "says"), [("C.UTF-8", "55****: not a mobile number"), ("zh_CN.UTF-8", "55****：不是手机号码")]
)
def test_wrong_number_does_not_stop_the_others(locale: str, says: str, box: SandboxThread) -> None:
    """An address book with a landline, and numbers in one option as people write them."""
    code, told, errors = send(box, "后门".encode(), "--to", f"5551680, {B}", LC_ALL=locale, LANG=locale)
    assert code == 4
    outcomes = [(one["number"], one["outcome"], one["reason"], one["parts"]) for one in told["receipts"]]
    assert outcomes == [(A, "accepted", None, 1), ("5551680", "refused", "number", 0), (B, "accepted", None, 1)]
    assert told["receipts"][1]["sentence"] == says
    assert told["reason"] == "number"
    assert "5551680" not in errors
    assert sent(box) == [(A, "后门"), (B, "后门")]


def test_estimate_warns_of_what_is_removed_and_not_shown() -> None:
    text = "【告警】后门\u200b😀"
    command = [sys.executable, "-m", "sms1680", "estimate", "--json", "--signature", "某某科技", text]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    warnings = {one["concern"]: one["found"] for one in json.loads(done.stdout)["warnings"]}
    assert warnings == {"second_signature": "【告警】", "unshown": "😀", "hidden": "U+200B"}
