"""A deterministic simulator of everything around the posting protocol: `make simulate`; docs/pool.md."""
