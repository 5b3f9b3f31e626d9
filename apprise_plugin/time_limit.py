"""The time that Apprise allows one notification.

Since Apprise 2, Apprise stops waiting for a service after a while, but the thread of the service runs on: a message
that is sent later would be reported as a failure. All attempts therefore end earlier.
"""

import traceback

APPRISE_TIMEOUT = 60.0
SHARE_OF_TIMEOUT = 0.9
# Apprise's functions that run the attempts of one notification. Each has the end of the waiting as `deadline`.
_RUNNERS = frozenset({"call_with_retry", "do_call"})


def find_deadline() -> float | None:
    """Return the monotonic time at which Apprise stops waiting for the current call. None: without a limit, or unknown.

    Apprise (2.0 and later) passes `notify(timeout=)` and `apprise -L` to no service, so this reads its own frames.
    """
    for frame, _line in traceback.walk_stack(None):
        if frame.f_code.co_name in _RUNNERS and str(frame.f_globals.get("__name__")).startswith("apprise."):
            deadline = frame.f_locals.get("deadline")
            return deadline if isinstance(deadline, float) else None
    return None
