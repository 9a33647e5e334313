"""The operator: turns HiveAgents into running agents and is the hive's authority (architecture §3, §10)."""
