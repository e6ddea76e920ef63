"""Hostile bytes for everything that reads a file of somebody else."""
