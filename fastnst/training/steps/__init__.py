"""The training step of each task, and what the steps share."""
