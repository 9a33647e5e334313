"""GitHub as an agent uses it: polling, claims, pull requests, what people see; `GitHubRepository` has it all."""
