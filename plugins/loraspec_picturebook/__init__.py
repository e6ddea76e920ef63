"""The embedded base of loraspec: a procedural picture-book, its style sets, and a small SDXL-form pipeline trained on it."""
