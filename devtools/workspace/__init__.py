"""The supervised web server of the dev container, which can be replaced in place."""
