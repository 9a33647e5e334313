"""The operator's part in asking a human (architecture §11): delivers escalations to a webhook, takes answers in."""
