"""Readers of what the checkout declares: Compose files, variables, Dockerfile, dev container."""
