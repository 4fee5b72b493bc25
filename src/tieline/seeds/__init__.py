"""Users and projects as a YAML file: read, checked, loaded into a database, and written from one."""
