"""What every Dockerfile of the project keeps to."""

from __future__ import annotations

import re

import pytest

from tests.images.dockerfiles import environment, setting, shipped, sources, stages
from tools.images.catalogue import BASE, IMAGES, REGISTRY, ROOT, Image

COMPILERS = re.compile(
    r"\b(gcc|g\+\+|clang|build-essential|make|cmake|python3-dev|python3-pip|python3-venv|npm|cargo)\b"
)
SECRETS = re.compile(r"token|password|secret|seed|credential|api_?key|private", re.I)
every_image = pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)


@every_image
def test_every_stage_starts_from_the_base_image_or_from_one_of_ours(image: Image) -> None:
    ours = {other.reference(REGISTRY, "dev") for other in IMAGES if other.name in image.on.values()}
    for number, stage in enumerate(stages(image)):
        earlier = {other.name for other in stages(image)[:number]}
        assert stage.base in {BASE} | ours | earlier


@every_image
def test_containers_run_as_the_numeric_user_that_pods_are_given(image: Image) -> None:
    of_another = next((other for other in IMAGES if other.name in image.on.values()), None)
    assert (setting(image, "USER") or setting(of_another or image, "USER")) == f"{image.uid}:{image.uid}"


@every_image
def test_nothing_that_compiles_or_installs_is_shipped(image: Image) -> None:
    for stage in shipped(image):
        for command in stage.all("RUN"):
            assert not COMPILERS.search(command)


@every_image
def test_package_lists_are_gone_in_the_layer_that_fetched_them(image: Image) -> None:
    installing = [run for stage in stages(image) for run in stage.all("RUN") if "apt-get install" in run]
    assert installing
    for command in installing:
        assert "--no-install-recommends" in command
        assert "rm -rf /var/lib/apt/lists/*" in command


@every_image
def test_no_secret_and_no_address_is_written_into_an_image(image: Image) -> None:
    text = (ROOT / image.dockerfile).read_text()
    assert not [key for stage in stages(image) for key in environment(stage) if SECRETS.search(key)]
    assert set(re.findall(r"https?://\S+", text)) <= {'https://github.com/bzzz-hive/bzzz"'}
    assert not [stage for stage in stages(image) if stage.all("ADD")]


@every_image
def test_labels_say_what_it_is_and_where_it_comes_from(image: Image) -> None:
    label = setting(image, "LABEL")
    for key in ("title", "source", "licenses"):
        assert f"org.opencontainers.image.{key}=" in label


@every_image
def test_everything_copied_exists_and_reaches_the_build(image: Image) -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = tuple(line.removeprefix("!") for line in lines if line.startswith("!"))
    for source in (path for stage in stages(image) for path in sources(stage)):
        assert list(ROOT.glob(source)), f"{source} does not exist"
        assert any(source == path or source.startswith(f"{path}/") for path in let_in), f"{source} is ignored"


def test_images_share_their_first_stages_so_that_these_are_built_once() -> None:
    firsts = {repr(stages(image)[0]) for image in IMAGES if stages(image)[0].name == "python"}
    assert len(firsts) == 1


def test_code_is_copied_after_the_packages_so_that_a_change_of_code_installs_nothing() -> None:
    for image in IMAGES:
        for stage in stages(image):
            if any("pip" in run and "requirements.txt" in run for run in stage.all("RUN")):
                assert [source for source in sources(stage) if source != "requirements.lock"] == []


def test_nothing_but_the_named_folders_reaches_a_build() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    assert {"**/__pycache__", "**/node_modules", "**/.git"} <= set(lines)
