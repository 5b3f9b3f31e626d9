"""Pushes of the platform that break a rule, over HTTP to Home Assistant's own web server."""

from __future__ import annotations

import pytest
from homeassistant.core import Event
from pytest_homeassistant_custom_component.common import MockConfigEntry
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
from yarl import URL

from tests.home_assistant.helpers import ALICE, WEBHOOK


@pytest.mark.usefixtures("entry")
async def test_report_belongs_to_its_recipient_whatever_the_spelling_of_the_number(
    hass_client_no_auth: ClientSessionGenerator, reports: list[Event], entry: MockConfigEntry
) -> None:
    http = await hass_client_no_auth()
    for number in (ALICE, f"%2B86 {ALICE[:3]}-{ALICE[3:]}", f"0086{ALICE}"):
        query = f"msgid={len(reports)}&mobile={number}&status=0".replace(" ", "%20")
        response = await http.get(URL(f"{WEBHOOK}?{query}", encoded=True))
        assert response.status == 200
    assert [report.data["subentry_id"] for report in reports] == ["alice"] * 3
    assert {report.data["config_entry_id"] for report in reports} == {entry.entry_id}
