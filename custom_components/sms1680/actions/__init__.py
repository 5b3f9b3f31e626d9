"""The integration's actions: what each one does."""
