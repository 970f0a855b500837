"""The database backend: a request of one tenant cannot reach another's schema."""
