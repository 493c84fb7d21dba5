"""A deterministic simulator of everything around the posting protocol: `make simulate`; functions/README.md."""
