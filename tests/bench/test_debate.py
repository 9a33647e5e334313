"""The pairs of the debate's bench, and its maintainer: real git decides what conflicts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.bench.debate_pairs import APART, KINDS, Edit, Maintainer, files_of, pairs


def test_pairs_are_those_of_their_seed_and_share_no_file_with_another_pair() -> None:
    made = pairs(4, seed=1)
    assert made == pairs(4, seed=1)
    assert made != pairs(4, seed=2)
    assert sorted(pair.kind for pair in made) == sorted(KINDS * 4)
    paths = [{pair.first.path, pair.second.path} for pair in made]
    assert sum(map(len, paths)) == len(set().union(*paths)) == len(files_of(made))
    for pair in made:
        same = (pair.first.path == pair.second.path, pair.first.line == pair.second.line)
        assert (
            same
            == {
                "same lines": (True, True),
                "same file": (True, False),
                "other files": (False, False),
            }[pair.kind]
        )


def change(bare: Path, work: Path, number: int, edit: Edit) -> None:
    """Make a pull request's head, as an agent would: one commit on the first one of main."""
    path = work / edit.path
    lines = path.read_text().splitlines()
    lines[edit.line] = edit.word
    git(work, "checkout", "-q", "-B", f"n{number}", "start")
    path.write_text("\n".join(lines) + "\n")
    git(work, "commit", "-q", "-a", "-m", edit.word)
    git(work, "push", "-q", str(bare), f"n{number}:refs/pull/{number}/head")
    git(work, "checkout", "-q", "start")


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("way", ["merge", "pick"])
@pytest.mark.parametrize(("apart", "clean"), [(0, False), (APART, True)])
def test_a_maintainer_finds_the_conflict_and_nothing_is_left_of_it(
    tmp_path: Path, way: str, apart: int, clean: bool
) -> None:
    work, bare = tmp_path / "work", tmp_path / "bare.git"
    files = files_of(pairs(1, seed=1))
    (path, *_) = files
    for name, text in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    git(work, "init", "-q", "-b", "main")
    git(work, "add", ".")
    git(work, "commit", "-q", "-m", "Begin")
    git(work, "tag", "start")
    git(tmp_path, "clone", "-q", "--bare", str(work), str(bare))
    change(bare, work, 1, Edit(path, 3, "first"))
    change(bare, work, 2, Edit(path, 3 + apart, "second"))
    maintainer = Maintainer(tmp_path / "clone", bare)
    take = maintainer.merge if way == "merge" else maintainer.pick
    assert take(str(bare), "token", 1)
    assert take(str(bare), "token", 2) is clean
    maintainer.push(str(bare), "token")
    left = subprocess.run(
        ["git", "status", "--porcelain"], cwd=tmp_path / "clone", capture_output=True, check=True
    )
    assert left.stdout == b""
