"""The sandbox, the real `apprise` program and class, and the command line."""

from apprise_plugin import conftest

globals().update({name: value for name, value in vars(conftest).items() if not name.startswith("__")})
