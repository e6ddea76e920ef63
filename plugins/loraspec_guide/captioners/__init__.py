"""What drafts captions."""
