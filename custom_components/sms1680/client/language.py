"""The language of the person at this machine."""

import os

from .outcomes import Language


def environment_language() -> Language:
    """Return the language of the environment (LC_ALL, LC_MESSAGES, LANG, in this order): Chinese, otherwise English."""
    spoken = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "zh" if spoken.startswith("zh") else "en"


def say(en: str, zh: str) -> str:
    """Return the sentence in the language of the environment."""
    return zh if environment_language() == "zh" else en
