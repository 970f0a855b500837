"""What the production stack needs around it: docker-compose.prod.yml itself needs no ./dev."""
