"""One model behind one door: typed questions, bounded in time, tokens and tries.

pydantic-ai needs asyncio and the agent is a trio program, so each call runs in a worker thread with an event loop of
its own (facts: reasoning); cancelling the trio side cancels the request. pydantic-ai is imported on the first call:
it takes a second and 70 MB, which an agent without a model should not pay.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import structlog
import trio
from pydantic import BaseModel

from bzzz_agent.reasoning.errors import (
    BudgetSpentError,
    ModelNonsenseError,
    ModelUnavailableError,
    ReasoningError,
)
from bzzz_agent.reasoning.usage import Budget, Usage
from hmmm.errors import excerpt

if TYPE_CHECKING:
    from pydantic_ai import Agent, RunUsage
    from pydantic_ai.models import Model as ProviderModel

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

EMBEDDED_PROVIDER: Final = "embedded"
SMALL_MODELS: Final = frozenset({"gemma-3-270m"})
"""Models too small to call tools or to be believed: they get short prompts and closed questions, their objections
do not block (architecture: rules decide what they cannot judge), and they cost nothing."""

SMALL_ANSWER_TOKENS: Final = 200
"""A small model that has not come to an end by then never does."""
TEMPERATURE: Final = 0.2

Tool = Callable[..., Awaitable[str]]
"""A trio function that the model may call; its name, signature and docstring are what the model sees."""

log = structlog.get_logger("bzzz.agent.model")


@dataclass(frozen=True)
class ModelSettings:
    """Which model, where, and how patiently."""

    name: str
    """provider:model as pydantic-ai names them, e.g. anthropic:claude-opus-4; `embedded:` speaks OpenAI's format."""
    base_url: str | None = None
    """Any server with OpenAI's (or, for anthropic:, Anthropic's) wire format."""
    key: str | None = field(default=None, repr=False)
    timeout_s: float = 120.0
    """Longest single question, tries included."""
    work_timeout_s: float = 1200.0
    """Longest work with tools."""
    tries: int = 3
    """How often a question is asked until the answer fits."""
    max_output_tokens: int = 4096
    tool_calls: bool | None = None
    """Whether the model can call tools; None: all but `SMALL_MODELS` can."""

    @property
    def provider(self) -> str:
        """The part of the name before the colon."""
        return self.name.partition(":")[0]

    @property
    def model(self) -> str:
        """The part of the name after the colon."""
        return self.name.partition(":")[2]

    @property
    def small(self) -> bool:
        """Whether the model is one of those that are not believed."""
        return self.model in SMALL_MODELS

    @property
    def can_call_tools(self) -> bool:
        """Whether to offer it tools."""
        return not self.small if self.tool_calls is None else self.tool_calls


@dataclass(frozen=True)
class Answered(Generic[T]):
    """An answer and what it used up."""

    value: T
    usage: Usage


class ReasoningModel:
    """The agent's model. One question at a time is asked of a small model, several of others."""

    def __init__(self, settings: ModelSettings, fresh: Callable[[], ModelSettings] | None = None) -> None:
        """`fresh` returns the settings with the key as it is now, for one that may be replaced meanwhile."""
        if not settings.provider or not settings.model:
            raise ModelUnavailableError(f"model {excerpt(settings.name)}: expected provider:model")
        self.settings = settings
        self._fresh = fresh or (lambda: settings)
        self._places = trio.CapacityLimiter(1 if settings.small else 4)

    @property
    def _max_tokens(self) -> int:
        most = self.settings.max_output_tokens
        return min(most, SMALL_ANSWER_TOKENS) if self.settings.small else most

    @property
    def name(self) -> str:
        """The model's name as the manifest has it."""
        return self.settings.name

    async def ask(
        self,
        output: type[M],
        instructions: str,
        prompt: str,
        *,
        budget: Budget | None = None,
        check: Callable[[M], str | None] | None = None,
        timeout_s: float | None = None,
        temperature: float = TEMPERATURE,
    ) -> Answered[M]:
        """Ask for an answer of a given shape. `check` may say what is wrong with one; then it is asked again.

        Raises ModelUnavailableError, ModelNonsenseError, BudgetSpentError.
        """
        limit = timeout_s or self.settings.timeout_s

        async def call(usage: RunUsage) -> M:
            from pydantic_ai import ModelRetry, NativeOutput

            agent = self._agent(
                NativeOutput(output, strict=not self.settings.small), instructions, temperature
            )
            if check is not None:
                agent.output_validator(functools.partial(_checked, check, ModelRetry))
            async with agent:
                result = await agent.run(
                    prompt, usage=usage, usage_limits=_limits(budget, self.settings.tries)
                )
            return cast("M", result.output)

        return await self._call(call, limit, budget)

    async def work(
        self,
        instructions: str,
        prompt: str,
        tools: Sequence[Tool],
        *,
        budget: Budget | None = None,
        steps: int = 40,
        timeout_s: float | None = None,
    ) -> Answered[str]:
        """Let the model work with tools until it says what it did, at most `steps` requests.

        Raises ModelUnavailableError, ModelNonsenseError, BudgetSpentError, and what the tools raise.
        """
        limit = timeout_s or self.settings.work_timeout_s
        send, receive = trio.open_memory_channel[_ToolCall](math.inf)
        token = trio.lowlevel.current_trio_token()

        async def call(usage: RunUsage) -> str:
            agent = self._agent(str, instructions)
            for tool in tools:
                agent.tool_plain(_from_asyncio(tool, token, send, lambda: self._check(budget, usage)))
            async with agent:
                result = await agent.run(prompt, usage=usage, usage_limits=_limits(budget, steps))
            return cast("str", result.output)

        problem: Exception | None = None
        answered: Answered[str] | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve_tools, receive)
            try:
                answered = await self._call(call, limit, budget)
            except Exception as error:  # raised below, outside of the nursery, which would wrap it
                problem = error
            nursery.cancel_scope.cancel()
        if answered is None:
            raise problem or ModelUnavailableError(f"model {self.name}: cancelled")
        return answered

    def _agent(self, output: Any, instructions: str, temperature: float = TEMPERATURE) -> Agent[None, Any]:
        from pydantic_ai import Agent

        return Agent(
            _provider_model(self._fresh()),
            output_type=output,
            instructions=instructions,
            # what is wrong with an answer means nothing to a model that only goes on with a text
            retries=0 if self.settings.small else self.settings.tries - 1,
            model_settings={"max_tokens": self._max_tokens, "temperature": temperature},
        )

    async def _call(
        self, call: Callable[[RunUsage], Awaitable[T]], timeout_s: float, budget: Budget | None
    ) -> Answered[T]:
        self._refuse_unpriced(budget)
        thread = _LoopThread[T]()
        spent: list[RunUsage] = []

        async def counted() -> T:
            from pydantic_ai import RunUsage

            spent.append(RunUsage())
            return await asyncio.wait_for(call(spent[0]), timeout_s)

        try:
            async with self._places:
                value = await thread.run(counted)
        except Exception as error:
            raise self._translated(error, self._usage(spent), timeout_s) from error
        usage = self._usage(spent)
        log.info("model answered", model=self.name, tokens=usage.tokens, requests=usage.requests)
        problem = budget.exceeded_by(usage) if budget else None
        if problem:
            raise BudgetSpentError(f"model {self.name}: {problem}", usage)
        return Answered(value, usage)

    def _usage(self, spent: Sequence[RunUsage]) -> Usage:
        if not spent:
            return Usage()
        used = spent[0]
        usd = price(self.settings, used.input_tokens, used.output_tokens)
        return Usage(used.input_tokens, used.output_tokens, used.requests, usd)

    def _check(self, budget: Budget | None, used: RunUsage) -> None:
        usage = self._usage([used])
        problem = budget.exceeded_by(usage) if budget else None
        if problem is not None:
            raise BudgetSpentError(f"model {self.name}: {problem}", usage)

    def _refuse_unpriced(self, budget: Budget | None) -> None:
        """Refuse a limit in dollars before anything is spent, where nobody could keep it."""
        if budget is not None and budget.usd is not None and price(self.settings, 1, 1) is None:
            raise BudgetSpentError(
                f"model {self.name}: its price is not known, so that a limit in dollars cannot be kept; limit tokens"
            )

    def _translated(self, error: Exception, usage: Usage, timeout_s: float) -> Exception:
        """Say by whose fault it failed; errors of our own, as tools raise them, stay what they are."""
        from pydantic_ai import exceptions

        name, text = self.name, excerpt(str(error))
        if isinstance(error, TimeoutError):
            return ModelUnavailableError(
                f"model {name}: expected an answer within {timeout_s:.0f} s; stopped", usage
            )
        if isinstance(error, exceptions.UsageLimitExceeded):
            return BudgetSpentError(f"model {name}: {text}", usage)
        if isinstance(error, exceptions.ModelAPIError):
            return ModelUnavailableError(f"model {name}: expected an answer, came: {text}", usage)
        if isinstance(error, exceptions.UnexpectedModelBehavior):
            return ModelNonsenseError(f"model {name}: expected an answer that fits, came: {text}", usage)
        if isinstance(error, (exceptions.UserError, ImportError)):
            return ModelUnavailableError(f"model {name}: cannot be set up: {text}", usage)
        if isinstance(error, exceptions.AgentRunError):
            return ReasoningError(f"model {name}: {text}", usage)
        return error


class _LoopThread(Generic[T]):
    """One asyncio call in a worker thread, cancelled when the trio task that waits for it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._cancel: Callable[[], None] | None = None

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Run the call to its end. Cancelled, it does not wait for the thread, which ends soon by itself."""
        try:
            return await trio.to_thread.run_sync(
                lambda: asyncio.run(self._main(call)), abandon_on_cancel=True
            )
        except trio.Cancelled:
            with self._lock:
                self._cancelled = True
                if self._cancel is not None:
                    self._cancel()
            raise

    async def _main(self, call: Callable[[], Awaitable[T]]) -> T:
        loop, task = asyncio.get_running_loop(), asyncio.create_task(_awaited(call))
        with self._lock:
            self._cancel = lambda: _soon(loop, task.cancel)
            if self._cancelled:
                task.cancel()
        return await task


async def _awaited(call: Callable[[], Awaitable[T]]) -> T:
    return await call()


def _soon(loop: asyncio.AbstractEventLoop, action: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended: so has what was to be told
        loop.call_soon_threadsafe(action)


@dataclass(frozen=True)
class _ToolCall:
    """A tool's call on its way from the model's thread to trio, and its answer's way back."""

    action: Callable[[], Awaitable[str]]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[str]

    async def serve(self) -> None:
        """Do it, in trio."""
        try:
            value = await self.action()
        except Exception as error:
            problem = error
            _soon(self.loop, lambda: None if self.answer.done() else self.answer.set_exception(problem))
        else:
            _soon(self.loop, lambda: None if self.answer.done() else self.answer.set_result(value))


async def _serve_tools(calls: trio.MemoryReceiveChannel[_ToolCall]) -> None:
    async for call in calls:
        await call.serve()


def _from_asyncio(
    tool: Tool,
    token: trio.lowlevel.TrioToken,
    calls: trio.MemorySendChannel[_ToolCall],
    check: Callable[[], None],
) -> Tool:
    """Wrap a trio function so that asyncio may call it from its thread; name, signature and text stay."""

    @functools.wraps(tool)
    async def call(*args: Any, **kwargs: Any) -> str:
        check()  # between two requests to the model: the only moments at which money can be saved
        loop = asyncio.get_running_loop()
        request = _ToolCall(functools.partial(tool, *args, **kwargs), loop, loop.create_future())
        token.run_sync_soon(calls.send_nowait, request)
        return await request.answer

    return call


def price(settings: ModelSettings, input_tokens: int, output_tokens: int) -> Decimal | None:
    """Return what tokens cost in dollars by the public list prices, None where the model is on no list.

    Prices come with the package genai-prices; discounts and caches are not counted, so that it errs to the high side.
    """
    if settings.small:
        return Decimal(0)
    import genai_prices

    usage = genai_prices.Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    try:
        return genai_prices.calc_price(usage, settings.model, provider_id=settings.provider).total_price
    except LookupError:
        return None


def _provider_model(settings: ModelSettings) -> ProviderModel:
    """Make pydantic-ai's model with our key and URL; nothing is taken from the environment but what providers' own
    libraries look up where no key is given."""
    from pydantic_ai.models import infer_model
    from pydantic_ai.providers import infer_provider_class

    embedded = settings.provider == EMBEDDED_PROVIDER
    provider_name = "openai" if embedded else settings.provider
    given: dict[str, Any] = {}
    if settings.base_url is not None:
        given["base_url"] = settings.base_url
    if settings.key is not None or settings.base_url is not None:
        given["api_key"] = settings.key or "none"  # local servers ask for none, the client library for some
    try:
        provider = infer_provider_class(provider_name)(**given)
    except (ValueError, TypeError) as error:
        raise ModelUnavailableError(
            f"model {settings.name}: cannot be set up: {excerpt(str(error))}"
        ) from error
    kind = "openai-chat" if provider_name == "openai" else provider_name
    return infer_model(f"{kind}:{settings.model}", provider_factory=lambda _name: provider)


def _checked(check: Callable[[M], str | None], retry: type[Exception], value: M) -> M:
    problem = check(value)
    if problem is not None:
        raise retry(problem)
    return value


def _limits(budget: Budget | None, requests: int) -> Any:
    from pydantic_ai import UsageLimits

    return UsageLimits(
        request_limit=requests,
        total_tokens_limit=budget.tokens if budget else None,
    )
