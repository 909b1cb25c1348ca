"""What the commands measure with: clocks, processes, contenders."""
