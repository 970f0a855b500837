"""The problems of the machine and the checkout that prevent a start, with their remedies."""
