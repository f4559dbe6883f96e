"""Fake gateways over HTTP with fault switches, and a shop page: for trying, demos and tests."""
