"""Pretraining without labels: each method's loss and head, its private state, and what its encoder has learned."""
