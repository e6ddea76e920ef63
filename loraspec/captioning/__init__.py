"""From pictures to approved captions: drafts, what a person says of them, tables in and out."""
