"""The outbound path: addressees, quiet hours, sending and fallbacks."""
