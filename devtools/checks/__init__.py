"""What can be wrong before the stack starts: one file for each subject.

Each has `problems(...)`: what is wrong, with its remedy; nothing when all is well.
"""
