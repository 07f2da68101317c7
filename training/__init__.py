"""Training, measuring and publishing title generators."""
