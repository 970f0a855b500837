"""Access to Docker: the daemon, the Compose project of this checkout, its image."""
