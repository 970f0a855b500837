"""Task definitions for ECS on Fargate, made from docker-compose.prod.yml and the contract."""
