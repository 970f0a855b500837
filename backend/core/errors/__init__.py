"""Errors in one shape: what services raise, what is unavailable, and how each is answered."""
