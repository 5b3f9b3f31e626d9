"""Makes the folder a package, so that tests find this one and not the one of Home Assistant's test helper."""
