"""Whatever is drawn as a text, no code remains in it: in the engine, and in everything that Home Assistant keeps."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pyotp
import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from hypothesis import assume, given, settings, strategies as st
from pytest_homeassistant_custom_component.common import async_capture_events
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator

from custom_components.sms1680 import const
from custom_components.sms1680.conversation.engine.commands import (
    Secret,
    mask_codes,
    mask_codes_of_others,
    read_command,
    without_code,
)
from custom_components.sms1680.store.db import HistoryQuery, StoredIn
from custom_components.sms1680.store.manager import DATA_STORE
from tests.home_assistant.helpers import ALICE, BOB, STRANGER, UPLINKS, MakeEntry, SetUp, recipient

PIN, SECRET = "748291", "JBSWY3DPEHPK3PXP"
NOW = 1_790_000_000.0
WORDS = ["撤防", "开门"]

# The ways to write one digit: fonts of Unicode, and Chinese.
_ZEROS = "0０٠۰०০𝟎𝟘𝟬𝟶⁰₀"
_NINES = (
    *("123456789", "①②③④⑤⑥⑦⑧⑨", "❶❷❸❹❺❻❼❽❾", "⑴⑵⑶⑷⑸⑹⑺⑻⑼", "⒈⒉⒊⒋⒌⒍⒎⒏⒐"),
    "一二三四五六七八九",
    "壹贰叁肆伍陆柒捌玖",
)


def forms(digit: int) -> list[str]:
    found = [chr(ord(zero) + digit) for zero in _ZEROS if unicodedata.digit(chr(ord(zero) + digit), None) == digit]
    found += [row[digit - 1] for row in _NINES] if digit else ["零", "〇"]
    return [*found, f"{digit}\ufe0f\u20e3"]


separators = st.text(st.sampled_from(" -.,，。、/·_*#~\n\t\u200b\u3000—+"), max_size=3)
others = st.text(st.sampled_from("撤访防开门谢请码a是 :"), max_size=6)


@st.composite
def written(draw: st.DrawFn, code: str) -> str:
    """Return a code in any notation."""
    parts = [draw(st.sampled_from(forms(int(digit)))) + draw(separators) for digit in code]
    return "".join(parts)


def digits_of(text: str) -> str:
    """Read a text as somebody would who looks for a code: all digits, in any notation."""
    chinese = dict(zip("零〇一二三四五六七八九壹贰叁肆伍陆柒捌玖", "00123456789123456789", strict=True))
    plain = (chinese.get(one, one) for one in unicodedata.normalize("NFKC", text))
    return "".join(str(value) for one in plain if (value := unicodedata.digit(one, None)) is not None)


def removed(content: str, secret: Secret) -> str:
    attempt = read_command(content, WORDS, secret, NOW)
    return mask_codes(content, secret, NOW) if attempt is None else f"{without_code(attempt)}{attempt.text}"


@pytest.mark.parametrize("secret", [Secret("pin", PIN), Secret("pin", "47113"), Secret("totp", SECRET)])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_drawn_texts_contain_no_code(secret: Secret, data: st.DataObject) -> None:
    code = PIN if secret.value == PIN else secret.valid_codes(NOW)[0][1].decode()
    before, after = data.draw(others), data.draw(others)
    word = data.draw(st.sampled_from(["撤防", "撤防 ", "", "密码", "开门 1"]))
    repeats = [data.draw(written(code)) for _ in range(data.draw(st.integers(1, 3)))]
    content = f"{word}{before}{' '.join(repeats)}{after}"
    assert code not in digits_of(removed(content, secret))
    assert code not in digits_of(mask_codes_of_others(content, [secret], NOW))


@given(data=st.data(), wrong=st.integers(0, 999_999))
@settings(max_examples=150, deadline=None)
def test_drawn_texts_contain_no_mistyped_code(data: st.DataObject, wrong: int) -> None:
    typed = f"{wrong:06}"
    content = f"{data.draw(others)}{data.draw(written(typed))}{data.draw(others)}"
    assume(typed not in "****")
    left = digits_of(removed(content, Secret("pin", PIN)))
    assert len(left) < 3, "at most a part of a separated code's neighbours"


@pytest.mark.parametrize(
    ("content", "left"),
    [
        ("撤防 748291 748291", "撤防"),
        ("撤防 748 291", "撤防 ****"),
        ("74-82-91", "****"),
        ("密码④⑧②⑨①⑤", "密码****"),
        ("撤防 74 8291", "撤防"),
        ("撤防 车库 2 748291", "撤防 车库 2"),
        ("22:41 到家，13800000001", "22:41 到家，13800000001"),
        ("2 120 12", "****"),
        ("2 120分 12", "2 120分 12"),  # a snooze of alarm 12, as the page about duty groups writes it
    ],
)
def test_notations_of_a_pin(content: str, left: str) -> None:
    attempt = read_command(content, WORDS, Secret("pin", PIN), NOW)
    masked = mask_codes(content, Secret("pin", PIN), NOW)
    assert (masked if attempt is None else without_code(attempt)) == left


def read_all(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*.db*"))


async def test_no_code_is_stored_fired_or_logged(
    hass: HomeAssistant,
    make_entry: MakeEntry,
    set_up: SetUp,
    freezer: FrozenDateTimeFactory,
    *,
    hass_client_no_auth: ClientSessionGenerator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    freezer.move_to("2026-05-01 12:00:10+00:00")
    code = pyotp.TOTP(SECRET).at(int(freezer().timestamp()))
    entry = make_entry(
        options={const.CONF_COMMAND_WORDS: WORDS},
        recipients=[
            recipient("Alice", ALICE, commands="pin", pin=PIN),
            recipient("Bob", BOB, commands="totp", totp_secret=SECRET),
        ],
    )
    await set_up(entry)
    fired: list[dict[str, Any]] = []
    events = [async_capture_events(hass, event) for event in (const.EVENT_MESSAGE_RECEIVED, const.EVENT_COMMAND)]
    client = await hass_client_no_auth()
    caplog.clear()
    for secret in (PIN, code):
        for text in (
            f"撤防 {secret} {secret}",
            f"撤防 {secret[:3]} {secret[3:]}",
            f"撤防 {secret[:2]} {secret[2:]}",
            "-".join((secret[:2], secret[2:4], secret[4:])),
            "密码" + "".join(forms(int(digit))[-4] for digit in secret),
            " ".join(secret),
        ):
            for number in (ALICE, BOB, STRANGER):
                response = await client.post(UPLINKS, data={"mobile": number, "content": text, "xh": ""})
                assert response.status == 200
    await hass.async_block_till_done()
    fired += [event.data for kind in events for event in kind]
    intake = hass.data[DATA_STORE].for_entry(entry)
    await intake.async_flush()
    stored = await hass.async_add_executor_job(intake.store.messages(HistoryQuery(limit=100)).result, 10)
    texts = [message.content or "" for message in stored if isinstance(message, StoredIn)]
    texts += [f"{data['content']} {data.get('text', '')}" for data in fired]
    texts += [str(state.attributes.get("content")) for state in hass.states.async_all("event")]
    assert len(texts) > 50
    own = {PIN, code}
    assert not [text for text in texts for one in own if one in digits_of(text)]
    await hass.async_stop()
    written_files = await hass.async_add_executor_job(read_all, Path(hass.config.config_dir))
    for one in own:
        assert one.encode() not in written_files
        assert one not in "".join(record.getMessage() for record in caplog.records if "sms1680" in record.name)
