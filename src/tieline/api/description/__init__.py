"""What the API says of itself: the OpenAPI document, its page, and what everything rests on."""
