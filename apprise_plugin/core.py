"""All that the plugin imports from the core: from the package `sms1680`, or from the copy in the drop-in.

All imports happen when the plugin is loaded. Apprise then removes a drop-in from sys.modules, and later relative
imports would fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same names, from the package that mypy knows
    from sms1680.account import DEFAULT_GATEWAY, Account, PasswordForm, account_key, gateway_url
    from sms1680.characters import clean
    from sms1680.errors import InvalidMessageError, InvalidSettingError, SendError
    from sms1680.http.client import LARGEST_PACKET, PACKET_SIZE, Client
    from sms1680.http.transport import (
        LONGEST_RESPONSE,
        USER_AGENT,
        Request,
        Response,
        Timeouts,
        TransportError,
        charset_of,
    )
    from sms1680.language import environment_language, say
    from sms1680.limits.digest import DigestGuard
    from sms1680.limits.noticed_text import NoticedText
    from sms1680.limits.redis.claims import RemoteClaims, SharedOutcome
    from sms1680.limits.redis.server import open_server
    from sms1680.limits.server_address import mask_address
    from sms1680.limits.settings import SpendingLimits
    from sms1680.limits.shared_state import find_state, state_folders, warn_unshared
    from sms1680.masking import MASK, mask_number
    from sms1680.numbers import split_numbers
    from sms1680.outcomes import OWN_LIMITS, Language, Outcome, Reason, Repeat
    from sms1680.plan import check_extension
    from sms1680.receipts import Receipt
    from sms1680.text import (
        MAX_LENGTH,
        Signature,
        SignaturePlace,
        add_words,
        mark_repeat,
        split_text,
        units,
    )
else:
    from ..account import DEFAULT_GATEWAY, Account, PasswordForm, account_key, gateway_url
    from ..characters import clean
    from ..errors import InvalidMessageError, InvalidSettingError, SendError
    from ..http.client import LARGEST_PACKET, PACKET_SIZE, Client
    from ..http.transport import LONGEST_RESPONSE, USER_AGENT, Request, Response, Timeouts, TransportError, charset_of
    from ..language import environment_language, say
    from ..limits.digest import DigestGuard
    from ..limits.noticed_text import NoticedText
    from ..limits.redis.claims import RemoteClaims, SharedOutcome
    from ..limits.redis.server import open_server
    from ..limits.server_address import mask_address
    from ..limits.settings import SpendingLimits
    from ..limits.shared_state import find_state, state_folders, warn_unshared
    from ..masking import MASK, mask_number
    from ..numbers import split_numbers
    from ..outcomes import OWN_LIMITS, Language, Outcome, Reason, Repeat
    from ..plan import check_extension
    from ..receipts import Receipt
    from ..text import (
        MAX_LENGTH,
        Signature,
        SignaturePlace,
        add_words,
        mark_repeat,
        split_text,
        units,
    )
