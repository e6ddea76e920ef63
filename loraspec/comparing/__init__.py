"""Runs side by side: what differs in their specs, their curves, and the pictures that were picked of each. No torch."""
