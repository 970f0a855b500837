"""Sample data: what a shop looks like when somebody uses it. Not installed in production."""
