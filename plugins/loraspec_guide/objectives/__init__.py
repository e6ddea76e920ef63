"""Objectives: noise, timesteps, targets and weights of the loss."""
