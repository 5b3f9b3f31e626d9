"""Every fixture of the integration's tests, also those that pytest uses without being asked."""

from tests.home_assistant import conftest

globals().update({name: value for name, value in vars(conftest).items() if not name.startswith("__")})
