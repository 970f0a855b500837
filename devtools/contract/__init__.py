"""Audits of the environment contract: who uses which variable, its value, and whether the files
that set variables agree with the declarations in backend/core/env/contract.py."""
