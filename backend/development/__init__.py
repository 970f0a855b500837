"""What starts, restarts and debugs the processes on a developer's machine. Not in production's image."""
