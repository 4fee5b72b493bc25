"""The HTTP surface: thin routes, documents with links, access, the error table and incoming hooks."""
