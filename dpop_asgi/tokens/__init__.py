"""Is this access token good? One module per kind of token; a user's own function does as well."""
