"""The network on the CPU, faster, with the same pixels."""
