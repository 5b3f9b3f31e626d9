"""Pushes of the platform that break a rule, read by the core's parser."""

import pytest

from sms1680 import DeliveryReport, parse_push


@pytest.mark.parametrize("number", ["13911000000", "%2B86 139-1100-0000"])
def test_report_is_read_whatever_the_spelling_of_its_number(number: str) -> None:
    report = parse_push(f"msgid=1&mobile={number}&status=0")
    assert isinstance(report, DeliveryReport)
    assert report.status == "0"
