"""The web server under a supervisor of its own, so that it can be replaced in place."""
