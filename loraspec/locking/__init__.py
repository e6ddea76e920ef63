"""Locks as files: read, compared field by field, and held against what a run gave."""
