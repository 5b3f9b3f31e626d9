"""From the wire to the event: push addresses, the listener, CMPP, and the receiver that they share."""
