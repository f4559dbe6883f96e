"""Conformance suites and doubles that plugin authors and applications import in their own tests."""
