"""Judging by eye: pairs of pictures of two epochs, shown without saying which is which. No torch."""
