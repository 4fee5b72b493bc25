"""What was sent to whom and what came of it, and what people may have done about it."""
