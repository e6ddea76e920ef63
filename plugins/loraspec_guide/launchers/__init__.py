"""Launchers: where a run happens."""
