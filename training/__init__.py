"""The offline job: a corpus of short texts in, a pool of new ones out. One stage a file."""
