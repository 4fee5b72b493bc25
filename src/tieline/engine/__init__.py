"""Durable jobs. A job is only a wake-up; what is due stands in the domain tables."""
