"""Management commands that measure the application; `./dev bench` runs them.

Nothing else needs this package. It is not in production's image.
"""
