"""An image is built again when, and only when, what it is made from changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.images.inputs import digest_of, files_of

DOCKERFILE = """\
FROM base AS code
COPY one.py \\
     /opt/
COPY folder /opt/folder
COPY --from=code /opt /opt
COPY *.yaml /opt/yaml/
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "folder" / "__pycache__").mkdir(parents=True)
    for name in ("one.py", "folder/two.py", "folder/__pycache__/two.pyc", "three.yaml", "unused.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    return tmp_path


def test_the_files_are_those_that_the_dockerfile_copies_from_the_checkout(root: Path) -> None:
    names = [str(path.relative_to(root)) for path in files_of(root, DOCKERFILE)]
    assert names == ["folder/two.py", "one.py", "three.yaml"]


@pytest.mark.parametrize("name", ["one.py", "folder/two.py", "three.yaml", "Dockerfile"])
def test_a_change_of_any_of_them_changes_the_digest(root: Path, name: str) -> None:
    before = digest_of(root, "Dockerfile", ())
    (root / name).write_text(DOCKERFILE + "# changed")
    assert digest_of(root, "Dockerfile", ()) != before


def test_becoming_executable_or_having_another_base_changes_it(root: Path) -> None:
    before = digest_of(root, "Dockerfile", ("base-1",))
    assert digest_of(root, "Dockerfile", ("base-2",)) != before
    (root / "one.py").chmod(0o755)
    assert digest_of(root, "Dockerfile", ("base-1",)) != before


def test_what_is_not_copied_changes_nothing(root: Path) -> None:
    before = digest_of(root, "Dockerfile", ())
    (root / "unused.txt").write_text("changed")
    (root / "folder" / "__pycache__" / "two.pyc").write_text("changed")
    assert digest_of(root, "Dockerfile", ()) == before
