"""Home Assistant's folder of integrations from outside; a package so that tests find ours and not another's."""
