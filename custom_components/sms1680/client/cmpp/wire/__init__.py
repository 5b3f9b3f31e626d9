"""CMPP 2.0 as bytes: the PDUs, their codec, and the values in their fields. Imports nothing else of `sms1680.cmpp`."""
