"""What stands in for a Git host in the demo, in tests and on the laptop of whoever wants one."""
