"""Metrics on large vision models for loraspec. Weights are named by path or hub id with a commit; none comes with the package."""
