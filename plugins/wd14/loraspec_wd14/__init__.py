"""A tagger as captioner for loraspec. The model is named by path or hub id with a commit; none comes with it."""
