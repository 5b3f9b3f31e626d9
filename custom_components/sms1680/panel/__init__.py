"""The page and the card of conversations: their data over Home Assistant's websocket API, and their files."""
