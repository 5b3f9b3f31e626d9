"""CMPP 2.0 as bytes: PDUs, their codec, and the values inside them."""
