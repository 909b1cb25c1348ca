"""What a training is for: styles or enlarging, each with its module, its previews and its figures at the end."""
