"""The photographs a network is trained on: where they come from and how they become batches."""
