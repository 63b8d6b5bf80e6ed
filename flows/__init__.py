"""When matlift does it: one module per flow, and the command line that starts them."""
