"""What ./dev runs: the workspace's own tools, standard library only (Python 3.9+)."""
