"""The runner: executes commands in a workspace."""
