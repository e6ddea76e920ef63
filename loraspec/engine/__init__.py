"""Carrying a plan out: the only core package that imports torch."""
