"""Thin mounts: a framework's request becomes a messages.Request, and back."""
