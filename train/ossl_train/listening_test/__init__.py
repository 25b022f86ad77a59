"""The listening test: one clip, several kinds of music, people who do not know which is which."""
