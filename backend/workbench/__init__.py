"""The page at / of a developer's machine: what runs, what it does, and what to type."""
