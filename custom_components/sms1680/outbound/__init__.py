"""From a call to the wire: recipients, quiet hours, the send itself, and what follows a failure."""
