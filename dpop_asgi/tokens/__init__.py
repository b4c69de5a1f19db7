"""Verifiers for access tokens, one module per kind of token. A custom function works as well."""
