"""The project's images: their names, their Dockerfiles and what each builds on. The only list of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tools.images.errors import ImageError

ROOT = Path(__file__).resolve().parent.parent.parent
REGISTRY = "ghcr.io/bzzz-hive"
BASE = "docker.io/library/debian:trixie-slim"


@dataclass(frozen=True)
class Image:
    """An image of the project."""

    name: str
    dockerfile: str
    """Relative to the repository's root, which is every build's context."""
    uid: int
    """Who the container runs as; the pods' security contexts say the same."""
    on: dict[str, str] = field(default_factory=dict)
    """Build argument → image of ours that it names."""

    def reference(self, registry: str, tag: str) -> str:
        """Return the name under which clusters know the image."""
        return f"{registry}/{self.name}:{tag}"


IMAGES = (
    Image("agent", "agent/Dockerfile", 10001),
    Image("workspace", "workspace/Dockerfile", 10002),
    Image("sidecar", "sidecar/Dockerfile", 10003),
    Image("scribe", "scribe/Dockerfile", 10004),
    Image("operator", "operator/Dockerfile", 10005),
    Image("model", "agent/model.Dockerfile", 10001),
    Image("github", "tools/github/Dockerfile", 10006),
    Image("demo-workspace", "examples/demo/Dockerfile", 10002, on={"WORKSPACE": "workspace"}),
)


def find(names: Iterable[str] = ()) -> list[Image]:
    """Return the named images, all if none is named, each after what it builds on.

    Raises:
        ImageError: a name that is not ours.
    """
    by_name = {image.name: image for image in IMAGES}
    wanted = list(names) or list(by_name)
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        raise ImageError(f"expected names among {', '.join(by_name)}; got {', '.join(unknown)}")
    found: list[Image] = []
    for image in (by_name[name] for name in wanted):
        for needed in (*(by_name[name] for name in image.on.values()), image):
            if needed not in found:
                found.append(needed)
    return found
