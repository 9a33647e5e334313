"""Where the code goes."""
