"""The grid of epochs and weights, its sheets, and the report."""
