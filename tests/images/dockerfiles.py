"""Dockerfiles as the tests look at them: stages, and what they say."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from tools.images.catalogue import ROOT, Image


@dataclass
class Stage:
    """From one FROM to the next."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def all(self, instruction: str) -> list[str]:
        """Return the texts of one kind of instruction."""
        return [text for word, text in self.steps if word == instruction]


def stages(image: Image) -> list[Stage]:
    """Return an image's stages; the last one is what is shipped."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / image.dockerfile).read_text(), flags=re.M).replace("\\\n", " ")
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        rest = re.sub(r"\s+", " ", rest.strip())
        if word == "ARG":
            key, _, value = rest.partition("=")
            arguments[key] = value
        elif word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], base), name))
        else:
            found[-1].steps.append((word, rest))
    return found


def shipped(image: Image) -> list[Stage]:
    """Return the last stage and the stages it is made from: what they do is in the image."""
    by_name = {stage.name: stage for stage in stages(image)}
    lineage = [stages(image)[-1]]
    while lineage[-1].base in by_name:
        lineage.append(by_name[lineage[-1].base])
    return lineage


def setting(image: Image, instruction: str) -> str:
    """Return the last word of an image on a setting, `''` if it says nothing."""
    for stage in shipped(image):
        said = stage.all(instruction)
        if said:
            return said[-1]
    return ""


def environment(stage: Stage) -> dict[str, str]:
    """Return the variables of a stage."""
    pairs = [part.partition("=") for text in stage.all("ENV") for part in shlex.split(text)]
    return {key: value for key, _, value in pairs}


def sources(stage: Stage) -> list[str]:
    """Return what a stage copies from the build's context."""
    found: list[str] = []
    for text in stage.all("COPY"):
        words = shlex.split(text)
        if not any(word.startswith("--from=") for word in words):
            found += [word for word in words[:-1] if not word.startswith("--")]
    return found
