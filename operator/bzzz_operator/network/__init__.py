"""Who may talk to whom: one table, and the NetworkPolicies that are rendered from it (docs/network.md)."""
