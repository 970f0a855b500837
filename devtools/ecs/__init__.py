"""Task definitions for ECS on Fargate, generated from docker-compose.prod.yml and the contract."""
