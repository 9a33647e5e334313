"""Addresses that credentials travel to: plain http only where the wire is our own.

One set of regular expressions serves Python and CEL, so that both take the same addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

MAX_CHARACTERS: Final = 500
_NAME: Final = r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?"
_PORT: Final = r"(:[0-9]{1,5})?"
SHAPE: Final = rf"^https?://({_NAME}|\[[0-9a-fA-F:]{{2,45}}\]){_PORT}(/[-A-Za-z0-9._~%+,;=:@!$&()*]*)*$"
"""Scheme, host, port and path; no query, no fragment, no user."""
USER: Final = r"^[a-z]*://[^/?#]*@"
# a bare name begins with a letter: 134744072 is an address of the internet
_OURS: Final = (
    r"[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?"
    rf"|{_NAME}\.(svc|svc\.cluster\.local|localhost)"
    r"|127(\.[0-9]{1,3}){3}"
    r"|\[::1\]"
)
SAFE: Final = rf"^(https://.*|http://({_OURS}){_PORT}(/.*)?)$"

EXPECTED_URL: Final = "expected a URL like https://api.github.com"
EXPECTED_NO_USER: Final = "expected a URL without user or password; name a Secret by credentialsSecretRef"
EXPECTED_HTTPS: Final = "expected https, except to this machine or a service of the cluster"


@dataclass(frozen=True)
class _UrlRules:
    """Annotates text as such an address; a trailing slash is taken off."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            check_url, core_schema.str_schema(max_length=MAX_CHARACTERS, strict=True)
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        rules = [
            {"rule": f"!self.matches({_quoted(USER)})", "message": EXPECTED_NO_USER},
            {
                "rule": f"self.matches({_quoted(USER)}) || self.matches({_quoted(SHAPE)})",
                "message": EXPECTED_URL,
            },
            {
                "rule": f"!self.matches({_quoted(SHAPE)}) || self.matches({_quoted(SAFE)})",
                "message": EXPECTED_HTTPS,
            },
        ]
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_CHARACTERS,
            "x-kubernetes-validations": rules,
        }


Url = Annotated[str, _UrlRules()]
"""Where an API is served; without a trailing slash, query or credentials."""


def check_url(url: str) -> str:
    """Return the address without a trailing slash. Raises ValueError."""
    if re.search(USER, url):
        raise ValueError(EXPECTED_NO_USER)
    if re.fullmatch(SHAPE, url) is None:
        raise ValueError(EXPECTED_URL)
    if re.fullmatch(SAFE, url) is None:
        raise ValueError(EXPECTED_HTTPS)
    return url.rstrip("/")


def _quoted(pattern: str) -> str:
    """Write a regular expression as a raw string of CEL."""
    return f"r'{pattern}'"
