"""Stateful fake gateways and a shop that pays through them: for trying, demos and tests."""
