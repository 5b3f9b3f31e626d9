"""Pushes that Home Assistant rejects and logs: its log shows neither the number nor the text nor the secret."""

from __future__ import annotations

import itertools
import logging
from urllib.parse import quote

import pytest
from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from custom_components.sms1680.inbound.registry import async_get_registry
from tests.home_assistant.helpers import UPLINKS, WEBHOOK

NUMBER = "13800000001"
SECRET = "secret-of-this-text"
TEXTS = [
    f"a'\n{SECRET}",
    f'a"\n{SECRET}',
    f"\n'{SECRET}' mobile={NUMBER}",
    f"\t' \" {SECRET}",
    f"<script>'{SECRET}",
    f"\r\n%27 %s %(x)s {{}} {SECRET}",
]


SAFE = ("'\"/<>(){},;:@!$*", "", "'")  # what the platform leaves unencoded
ORDERS = ("mobile={0}&content={1}", "content={1}&mobile={0}", "content={1}&m%6fbile={0}")
ADDRESSES = (WEBHOOK, UPLINKS, WEBHOOK.replace("webhook-id", "%77ebhook-id"), "/api/webhook/deleted")


async def test_rejected_push_shows_nothing_in_the_log(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    hass_client_no_auth: ClientSessionGenerator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    http = await hass_client_no_auth()
    pushes = list(itertools.product(TEXTS, SAFE, ORDERS, ADDRESSES))
    for text, safe, order, address in pushes:
        url = URL(f"{address}?{order.format(NUMBER, quote(text, safe=safe))}", encoded=True)
        assert (await http.get(url)).status == 400
    await hass.async_block_till_done()
    shown = "\n".join(record.getMessage() for record in caplog.records if "aiohttp.client" not in record.name)
    assert shown.count("Filtered a ") == len(pushes)
    for secret in (SECRET, NUMBER, "push-secret-of-the-tests", "webhook-id-of-the-tests"):
        assert secret not in shown
    rejected = async_get_registry(hass).async_get(entry).counts["refused_by_home_assistant"]
    assert rejected == len(pushes) * 3 // 4  # one address is nobody's
