"""The search of Home Assistant's log finds what it is for: otherwise its "nothing" would say nothing."""

import pytest
from _complaints import complaints

TIME = "2026-11-25 20:00:00.123"
WELL = f"{TIME} INFO (MainThread) [homeassistant.setup] Setup of domain sms1680 took 0.12 seconds"
TRACEBACK = """Traceback (most recent call last):
  File "/usr/lib/python3.14/asyncio/events.py", line 94, in _run
  File "/config/custom_components/sms1680/{place}.py", line 12, in async_answer
ValueError"""


@pytest.mark.parametrize(
    "complaint",
    [
        f"{TIME} WARNING (MainThread) [homeassistant.helpers.frame] Detected that custom integration 'sms1680' blocks",
        f"{TIME} WARNING (MainThread) [homeassistant.const] X was used from sms1680, this is a deprecated constant",
        f"{TIME} WARNING (MainThread) [x] custom integration 'sms1680' does so. This will stop working in 2027.1",
        f"{TIME} WARNING (MainThread) [x] y will be removed in 2027.1, please report it to the author of 'sms1680'",
        f"{TIME} ERROR (MainThread) [custom_components.sms1680.push] A push could not be handled: ValueError",
        f"{TIME} ERROR (MainThread) [homeassistant] Error doing job\n" + TRACEBACK.format(place="answering"),
        f"{TIME} WARNING (MainThread) [x] y\n" + TRACEBACK.format(place="client/push"),
    ],
)
def test_what_speaks_against_the_integration_is_found(complaint: str) -> None:
    assert complaints(f"{WELL}\n{complaint}\n{WELL}\n") == [complaint]


def test_a_warning_of_pythons_own_is_found_with_what_stands_before_it() -> None:
    warning = "/config/custom_components/sms1680/push.py:7: DeprecationWarning: x is deprecated"
    assert complaints(f"{WELL}\n{warning}\n{WELL}") == [f"{WELL}\n{warning}"]


@pytest.mark.parametrize(
    "harmless",
    [
        WELL,
        f"{TIME} WARNING (SyncWorker_0) [homeassistant.loader] We found a custom integration sms1680, untested",
        f"{TIME} ERROR (MainThread) [custom_components.sms1680.coordinator] Error fetching sms1680 balance data: x",
        f"{TIME} WARNING (MainThread) [custom_components.sms1680.push] A push from a network that may not push",
        f"{TIME} WARNING (MainThread) [homeassistant.const] Detected that integration 'met' uses something deprecated",
        f"{TIME} ERROR (MainThread) [homeassistant] Error doing job\n" + TRACEBACK.replace("sms1680", "another"),
        f"{TIME} DEBUG (MainThread) [custom_components.sms1680.coordinator] Full error:\n" + TRACEBACK,
        f"{TIME} ERROR (MainThread) [homeassistant.components.websocket_api.http.connection] Unexpected exception\n"
        + TRACEBACK.replace("ValueError", "homeassistant.exceptions.HomeAssistantError: The message was refused"),
    ],
)
def test_nothing_else_is(harmless: str) -> None:
    assert complaints(f"{WELL}\n{harmless}\n{WELL}") == []
