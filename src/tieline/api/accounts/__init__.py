"""The account side of the API: users, tokens, organizations, and who may see what."""
