"""The only SQL: the embedded server, the pool, migrations, and one module per aggregate."""
