"""Tenants: one row in tenant_config, one schema and one database role each."""
