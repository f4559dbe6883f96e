"""The command bridge-payments."""
