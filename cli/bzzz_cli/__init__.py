"""`bzzz`: the command line of the hive."""
