"""Activities: how they run, what they log, what each kind does."""
