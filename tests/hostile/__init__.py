"""What strangers may try, and what must not leak: the rules of docs/security.md, shown."""
