"""What a user is about to order."""
