"""A real n8n for the tests, and the workflows that users import."""
