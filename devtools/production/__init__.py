"""Tools for the production stack; docker-compose.prod.yml itself does not need ./dev."""
