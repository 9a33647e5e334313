"""The model proxy: a command's own way to the model, metered and cut off at the limit (architecture §9).

A `command` runs in the workspace, which holds no key. For the time of one run it is given an address on this machine
and a token of that run; what it asks there is sent on with the real key, counted against the issue's limits, and
refused, or broken off in the middle of an answer, once these are reached. OpenAI's and Anthropic's wire formats.
"""

from __future__ import annotations

from bzzz_agent.model_proxy.proxy import ModelProxy, open_model_proxy
from bzzz_agent.model_proxy.session import Session
from bzzz_agent.model_proxy.upstream import Upstream, upstream_of

__all__ = ["ModelProxy", "Session", "Upstream", "open_model_proxy", "upstream_of"]
