"""The issues of the hive's repositories as they are now: read only, by the rules that the agents go by."""

from __future__ import annotations

from collections.abc import Sequence

from bzzz_agent.github.answers import Issue, read_list
from bzzz_agent.github.client import GitHubClient
from bzzz_agent.github.permissions import Permissions
from bzzz_cli.local.outcome import IssueSight
from bzzz_cli.local.plan import AgentPlan
from hmmm.eligibility import EligibilityRules, Ineligible, IssueFacts
from hmmm.ranking import Candidate, missing_capabilities

PAGE = 100
MAX_PAGES = 10


class IssueWatch:
    """Looks at one repository; keeps what it saw while nothing changed."""

    def __init__(
        self,
        client: GitHubClient,
        repository: str,
        agents: Sequence[AgentPlan],
        accounts: frozenset[str],
        *,
        whole: bool,
    ) -> None:
        self._client = client
        self._repository = repository
        self._permissions = Permissions(client, repository)
        serving = [a for a in agents if repository in a.spec.github.repositories]
        self._rules = tuple({_rules_of(agent, accounts) for agent in serving})
        self._candidates = tuple(_candidate_of(agent) for agent in serving)
        self._whole = whole
        """True: all issues, as a local server has few. False: only those with the hive's labels."""

    async def look(self) -> tuple[IssueSight, ...]:
        """Return the issues, each once. Raises GitHubError."""
        issues: dict[int, Issue] = {}
        for labels in self._queries():
            for page in range(1, MAX_PAGES + 1):
                query: dict[str, str | int] = {"state": "all", "per_page": PAGE, "page": page}
                answer = await self._client.request(
                    "GET",
                    f"/repos/{self._repository}/issues",
                    kind="issues.list",
                    query=query | ({"labels": labels} if labels else {}),
                )
                found = read_list(Issue, answer.data, what="issues")
                issues |= {issue.number: issue for issue in found if issue.pull_request is None}
                if not answer.has_next:
                    break
        return tuple([await self._judge(issue) for issue in issues.values()])

    def _queries(self) -> list[str]:
        return [""] if self._whole else [",".join(sorted(rules.labels)) for rules in self._rules]

    async def _judge(self, issue: Issue) -> IssueSight:
        facts = issue.facts
        return IssueSight(
            repository=self._repository,
            number=facts.number,
            title=facts.title,
            open=facts.open,
            labels=facts.labels,
            ineligible=await self._ineligible(facts),
            able=any(not missing_capabilities(facts.labels, candidate) for candidate in self._candidates),
            url=issue.html_url,
        )

    async def _ineligible(self, facts: IssueFacts) -> Ineligible | None:
        reason: Ineligible | None = None
        for rules in self._rules:
            reason = await self._permissions.ineligible(facts, rules)
            if reason is None:
                return None
        return reason


def _rules_of(agent: AgentPlan, accounts: frozenset[str]) -> EligibilityRules:
    issues = agent.spec.github.issues
    return EligibilityRules(frozenset(issues.labels), frozenset(issues.authors), accounts)


def _candidate_of(agent: AgentPlan) -> Candidate:
    offered = agent.spec.capabilities
    return Candidate(agent.node_id, languages=offered.languages, tools=offered.tools)
