"""What a HiveAgent's status says: a pure function from what is known to conditions, each with its remedy."""
