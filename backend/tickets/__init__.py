"""What users ask for help with."""
