"""What happens around the training steps, one callback a file."""
