"""Assist by SMS: recipients text Home Assistant's conversation agents, and agents text recipients."""
