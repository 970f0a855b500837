"""The implementation of ./dev: the workspace's tools, standard library only (Python 3.9+)."""
