class AppriseImproperlyConfigured(TypeError, ValueError): ...  # noqa: N818 - Apprise's name
