"""The laboratory: what we send and what our fakes answer, held against what providers publish."""
