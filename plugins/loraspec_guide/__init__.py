"""The built-in components: the guide's recipe."""
