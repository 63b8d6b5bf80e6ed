"""What matlift does: one package per stage, in the order in which data pass through them."""
