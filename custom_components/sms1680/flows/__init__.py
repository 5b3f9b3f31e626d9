"""The dialogs: options, recipients, and what they check and show."""
