"""More pictures than one machine can paint. Ray Data batches, schedules and retries; we paint, and keep account."""
