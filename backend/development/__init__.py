"""Starts, serves, restarts and debugs the processes of a developer's machine.

Not in production's image.
"""
