"""A local hive asks a human as the operator does (docs/escalation.md): the same webhook, signatures and answers.

A process of its own, `python -m bzzz_cli.local.escalation --config FILE`: it reads what waits for a human from the
scribe, tells the webhook, and brings what comes back to the scribe, signed by the hive key.
"""
