"""What the faces share: validation, metrics, functions of one's own."""
