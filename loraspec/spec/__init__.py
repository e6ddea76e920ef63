"""Reading a spec: text, overlays, strict conversion, migration, JSON Schema."""
