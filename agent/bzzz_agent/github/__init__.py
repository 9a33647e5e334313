"""GitHub as an agent uses it: polling, claims, pull requests, what people see.

`open_client` and `open_repository` give a `GitHubRepository`, which has all of it; its docstring is an example.
"""

from bzzz_agent.github.answers import Comment, PullRequest
from bzzz_agent.github.claims import Agent, Claim, ClaimLostError, Refusal
from bzzz_agent.github.client import GitHubClient, open_client
from bzzz_agent.github.errors import (
    ForbiddenError,
    GitHubError,
    MalformedAnswerError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    RefusedError,
    RetryableError,
    UnauthorizedError,
    UnavailableError,
)
from bzzz_agent.github.guard import Interference
from bzzz_agent.github.metrics import GitHubMetrics
from bzzz_agent.github.poll import Poll
from bzzz_agent.github.pulls import Opened
from bzzz_agent.github.refs import Tip
from bzzz_agent.github.repository import Branch, GitHubRepository, RepositorySettings, open_repository
from bzzz_agent.github.settings import AppSettings, GitHubSettings
from bzzz_agent.github.text import harmless

__all__ = [
    "Agent",
    "AppSettings",
    "Branch",
    "Claim",
    "ClaimLostError",
    "Comment",
    "ForbiddenError",
    "GitHubClient",
    "GitHubError",
    "GitHubMetrics",
    "GitHubRepository",
    "GitHubSettings",
    "Interference",
    "MalformedAnswerError",
    "NotFoundError",
    "Opened",
    "PermanentError",
    "Poll",
    "PullRequest",
    "RateLimitedError",
    "Refusal",
    "RefusedError",
    "RepositorySettings",
    "RetryableError",
    "Tip",
    "UnauthorizedError",
    "UnavailableError",
    "harmless",
    "open_client",
    "open_repository",
]
