"""Accounts: people log in by e-mail address."""
