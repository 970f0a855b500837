"""The environment contract seen from outside: who uses which variable, what each is, and whether
the files that give them agree with what is declared in backend/core/env/contract.py."""
