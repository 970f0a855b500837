"""What every application stands on: settings, environment, logs, health, Celery."""
