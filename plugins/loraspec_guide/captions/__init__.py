"""How captions vary from visit to visit."""
