"""What the loopback Hub keeps: repositories with their commits, the requests it saw, the faults it was told."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

WRITE, READ = "hf_" + "w" * 34, "hf_" + "r" * 34
LARGE, PART = 100_000, 8_000_000  # bytes: what goes to large file storage, and in parts of what size
LICENCES = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "other")


@dataclass
class Repo:
    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)  # (id, path -> content)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        content = repr((len(self.commits), sorted(files)))
        self.commits.append((hashlib.sha1(content.encode()).hexdigest(), files))
        self.branches[branch] = self.commits[-1][0]
        return self.branches[branch]

    def resolve(self, revision: str) -> str | None:
        ids = [commit for commit, _ in self.commits]
        return self.branches.get(revision) or self.tags.get(revision) or (revision if revision in ids else None)

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return dict(dict(self.commits).get(self.resolve(revision), {}))


@dataclass
class Request:
    method: str
    path: str
    host: str
    token: str | None


@dataclass
class Fault:
    match: str
    status: int | None
    times: int
    headers: dict[str, str]
    skip: int
    after: bool
    action: Callable[[], None] | None


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(path: str, content_size: int) -> bool:
    return content_size > LARGE or path.endswith((".safetensors", ".parquet", ".png"))
