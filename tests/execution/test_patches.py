"""What may become a commit: every check is made on git's own tree, whatever the workspace says."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzz_agent.execution.clone import Change, Clone, Export, leads_out
from bzzz_agent.execution.errors import PatchRefusedError
from bzzz_agent.execution.git import Remote
from bzzz_agent.execution.patch import Patch, PatchRules, check_collisions, check_mode, check_path, patch_from
from hmmm.plan import Plan
from tests.support.workspace import Repository, a_tar

FILES = {"README.md": "hello\n", "src/a.py": "a = 1\n", "src/b.py": "b = 1\n", ".gitignore": "*.log\n"}
RULES = PatchRules(100_000, 20, (".github/workflows/**", "secrets/*"), "refuse")
ALL = Plan(summary="s", footprint=("**",))


class Bench:
    """A clone with a base, and tars that come back from nowhere."""

    def __init__(self, clone: Clone, repository: Repository, folder: Path) -> None:
        self.clone, self.repository, self.folder = clone, repository, folder
        self.export = Export(folder, (), ())

    async def exported(self) -> Export:
        self.export = await self.clone.export(self.repository.head, self.folder)
        return self.export

    async def patch(self, tar: bytes, plan: Plan | None = ALL, rules: PatchRules = RULES) -> Patch:
        path = self.folder / "back.tar"
        path.write_bytes(tar)
        return await patch_from(self.clone, self.repository.head, path, self.export, plan, rules)


async def bench_of(tmp_path: Path, files: dict[str, str | bytes]) -> Bench:
    repository = Repository.make(tmp_path / "user", files)
    clone = Clone(tmp_path / "clone")
    await clone.prepare()
    await clone.fetch(Remote(f"file://{repository.folder}"), repository.head)
    (tmp_path / "bench").mkdir()
    return Bench(clone, repository, tmp_path / "bench")


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    return await bench_of(tmp_path, dict(FILES))


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


async def test_a_changed_file_becomes_a_patch_that_git_applies(bench: Bench) -> None:
    patch = await bench.patch(a_tar(FILES | {"src/a.py": "a = 2\n", "src/new.py": "n = 1\n"}))
    assert patch.files == ("src/a.py", "src/new.py")
    assert b"-a = 1\n+a = 2\n" in patch.diff
    assert await bench.clone.apply(bench.repository.head, patch.diff) == patch.tree


async def test_a_binary_file_travels_in_the_patch(bench: Bench) -> None:
    patch = await bench.patch(a_tar(FILES | {"logo.bin": bytes(range(256)) * 4}))
    assert await bench.clone.apply(bench.repository.head, patch.diff) == patch.tree


async def test_a_deleted_file_is_deleted(bench: Bench) -> None:
    patch = await bench.patch(a_tar({k: v for k, v in FILES.items() if k != "src/b.py"}))
    assert patch.files == ("src/b.py",)
    assert "src/b.py" not in [e.path for e in await bench.clone.entries(patch.tree)]


async def test_what_came_back_unchanged_is_an_empty_patch(bench: Bench) -> None:
    with pytest.raises(PatchRefusedError) as refusal:
        await bench.patch(a_tar(FILES))
    assert refusal.value.reason == "empty"


async def test_ignored_files_and_tools_junk_stay_out(bench: Bench) -> None:
    junk = {
        "x.log": "l",
        "__pycache__/a.pyc": "p",
        "src/.ruff_cache/x": "r",
        ".pytest_cache/y": "t",
        "n.py": "",
    }
    patch = await bench.patch(a_tar(FILES | junk))
    assert patch.files == ("n.py",)


async def test_line_endings_and_attributes_leave_untouched_files_untouched(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        ".gitattributes": "*.txt text eol=crlf\nhidden export-ignore\nv.txt ident export-subst\n",
        "hidden": "not exported by git archive, normally\n",
        "v.txt": "$Id$ $Format:%H$\n",
        "data.txt": "one\n",
    }
    bench = await bench_of(tmp_path, files)
    export = await bench.exported()
    with tarfile.open(export.tar) as tar:
        hidden, content = tar.extractfile("hidden"), tar.extractfile("v.txt")
        assert hidden is not None
        assert content is not None
        assert content.read() == b"$Id$ $Format:%H$\n"
    with pytest.raises(PatchRefusedError) as refusal:
        await bench.patch(export.tar.read_bytes())
    assert refusal.value.reason == "empty"


HOSTILE = {
    "a protected path": ({".github/workflows/ci.yml": "on: push\n"}, [], "protected_path"),
    "a protected path in capitals": ({".GitHub/Workflows/ci.yml": "on: push\n"}, [], "protected_path"),
    "a new symlink": ({}, [link("l", "README.md")], "symlink"),
    "a symlink out": ({}, [link("l", "/etc/passwd")], "symlink"),
    "a git folder": ({".git/hooks/pre-commit": "#!/bin/sh\n"}, [], "bad_path"),
    "a nested git folder": ({"src/.git/config": "[core]\n"}, [], "bad_path"),
    "a .gitmodules": ({".gitmodules": '[submodule "x"]\n'}, [], "git_path"),
    "a .gitmodules in capitals": ({".GitModules": "x"}, [], "git_path"),
    "a path upwards": ({"../x": ""}, [], "bad_path"),
    "an absolute path": ({"/x": ""}, [], "bad_path"),
    "a backslash": ({"src\\c.py": ""}, [], "bad_path"),
    "a control character": ({"src/\x07.py": ""}, [], "bad_path"),
    "a name of another case": ({"readme.MD": "x"}, [], "case_collision"),
    "a folder of another case": ({"SRC/c.py": "x"}, [], "case_collision"),
    "too many files": ({f"f{n}": "" for n in range(21)}, [], "too_many_files"),
    "a patch too large": ({"large.txt": "x y z\n" * 30_000}, [], "too_large"),
    "a small patch of a large file": ({"zeros": b"\0" * (11 << 20)}, [], "too_large"),
    "a file through a link": ({}, [link("d", "src"), tarfile.TarInfo("d/x")], "bad_path"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_change_is_refused_with_its_reason(name: str, bench: Bench) -> None:
    files, extra, reason = HOSTILE[name]
    with pytest.raises(PatchRefusedError) as refusal:
        await bench.patch(a_tar(FILES | files, extra))
    assert refusal.value.reason == reason, str(refusal.value)


async def test_a_changed_symlink_is_refused_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    bench = await bench_of(tmp_path, {"a": "a"})
    (bench.repository.folder / "l").symlink_to("a")
    bench.repository.commit({"b": "b"})
    await bench.clone.fetch(Remote(f"file://{bench.repository.folder}"), bench.repository.head)
    patch = await bench.patch(a_tar({"a": "new", "b": "b"}, [link("l", "a")]))
    assert patch.files == ("a",)
    with pytest.raises(PatchRefusedError) as refusal:
        await bench.patch(a_tar({"a": "new", "b": "b"}, [link("l", "b")]))
    assert refusal.value.reason == "symlink"


async def test_links_out_of_the_repository_and_submodules_stay_at_home_and_unchanged(tmp_path: Path) -> None:
    bench = await bench_of(tmp_path, {"a": "a"})
    (bench.repository.folder / "out").symlink_to("../../etc/passwd")
    gitlink = f"160000,{bench.repository.head},module"
    bench.repository.git("update-index", "--add", "--cacheinfo", gitlink)
    (bench.repository.folder / "module").mkdir()
    bench.repository.commit({"b": "b"})
    await bench.clone.fetch(Remote(f"file://{bench.repository.folder}"), bench.repository.head)
    export = await bench.exported()
    assert sorted(entry.path for entry in export.absent) == ["module", "out"]
    with tarfile.open(export.tar) as tar:
        assert "out" not in tar.getnames()
    patch = await bench.patch(a_tar({"a": "new", "b": "b"}))
    assert patch.files == ("a",)
    for hostile in ({"out": "x"}, {"module/x": "x"}):
        with pytest.raises(PatchRefusedError) as refusal:
            await bench.patch(a_tar({"a": "a", "b": "b"} | hostile))
        assert refusal.value.reason == "left_out"


async def test_a_change_outside_the_plans_footprint_is_refused(bench: Bench) -> None:
    plan = Plan(summary="s", footprint=("src/*.py",))
    changed = a_tar(FILES | {"src/a.py": "a = 2\n", "README.md": "other\n"})
    with pytest.raises(PatchRefusedError, match=r"README\.md") as refusal:
        await bench.patch(changed, plan)
    assert refusal.value.reason == "outside_footprint"


async def test_or_put_back_where_that_is_what_was_agreed(bench: Bench) -> None:
    plan = Plan(summary="s", footprint=("src/a.py",))
    rules = PatchRules(100_000, 20, (), "revert")
    files = {k: v for k, v in FILES.items() if k != "src/b.py"}
    patch = await bench.patch(
        a_tar(files | {"src/a.py": "a = 2\n", "README.md": "x", "n/n": ""}), plan, rules
    )
    assert patch.files == ("src/a.py",)
    assert patch.reverted == ("README.md", "n/n", "src/b.py")
    entries = {e.path: e.sha for e in await bench.clone.entries(patch.tree)}
    assert set(entries) == set(FILES)


async def test_the_same_change_makes_the_same_tree_twice(bench: Bench) -> None:
    tar = a_tar(FILES | {"src/a.py": "a = 2\n"})
    first, second = await bench.patch(tar), await bench.patch(tar)
    assert (first.tree, first.diff) == (second.tree, second.diff)


NAMES = (
    "git~1",
    ".git ",
    ".git.",
    ".g\u200cit",
    ".GIT",
    "a/.git/b",
    ".gitmodules",
    "GITMOD~1",
    ".git::$INDEX_ALLOCATION",
)


@pytest.mark.parametrize("name", NAMES)
def test_names_that_mean_git_somewhere_are_refused(name: str) -> None:
    with pytest.raises(PatchRefusedError) as refusal:
        check_path(name)
    assert refusal.value.reason == "git_path"


@pytest.mark.parametrize(
    "name", [".gitignore", ".gitattributes", "docs/git.md", "a.git", "dir/.github/x", "digit~1"]
)
def test_names_that_only_look_like_it_are_not(name: str) -> None:
    check_path(name)
    assert name


def test_modes_other_than_plain_and_executable_are_refused() -> None:
    for old, new in (("100644", "160000"), ("160000", "000000"), ("000000", "120000"), ("100644", "040000")):
        with pytest.raises(PatchRefusedError):
            check_mode(Change(old, new, "", "", "x"))


@given(
    st.lists(
        st.text("aAbB/", min_size=1, max_size=6).map(lambda t: t.strip("/") or "a"), min_size=1, max_size=8
    )
)
def test_a_collision_is_found_exactly_when_two_spellings_fold_to_one(paths: list[str]) -> None:
    def prefixes(path: str) -> set[str]:
        parts = path.split("/")
        return {"/".join(parts[:n]) for n in range(1, len(parts) + 1)}

    spellings = set[str]().union(*(prefixes(path) for path in paths))
    collide = len({s.lower() for s in spellings}) < len(spellings)
    try:
        check_collisions(paths, paths)
    except PatchRefusedError:
        assert collide
    else:
        assert not collide


@given(st.lists(st.sampled_from(["..", ".", "a", "b", ""]), min_size=1, max_size=6), st.integers(0, 3))
def test_a_link_leads_out_exactly_when_walking_it_does(parts: list[str], depth: int) -> None:
    target = "/".join(parts)
    here, out = depth, not target or target.startswith("/")
    for part in parts:
        here += {"..": -1, ".": 0, "": 0}.get(part, 1)
        out = out or here < 0
    assert leads_out("/".join(["d"] * depth + ["l"]), target) == out


async def test_what_an_earlier_life_left_half_done_is_cleared(tmp_path: Path) -> None:
    bench = await bench_of(tmp_path, dict(FILES))
    repository = bench.clone.git.repository
    (repository / "shallow.lock").touch()
    (tmp_path / "clone" / "scratch" / "left").mkdir()
    await bench.clone.prepare()
    assert not (repository / "shallow.lock").exists()
    assert list((tmp_path / "clone" / "scratch").iterdir()) == []
