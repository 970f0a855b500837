"""The problems that prevent a start, with their remedies: engines raise them, doctor shows them."""
