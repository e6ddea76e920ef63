"""Captioners on transformers for loraspec: BLIP and Florence-2. Weights are named by path or hub id with a commit; none comes with it."""
