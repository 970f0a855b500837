"""`./dev doctor`: checks of the machine, the checkout and the stack, a file for each subject."""
