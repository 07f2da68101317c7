"""Bringing repositories of the Hub to a tree of files: one commit for each, then its tag.

Everything is compared before anything is sent, so a repeated command sends nothing when nothing changed and completes
what a broken one left. A commit names the commit it was compared with: a branch that moved meanwhile is left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import validate_repo_id

from training.hub_calls import HubCalls, status_of
from training.trees import PublishError, Tree, differences


@dataclass(frozen=True)
class Destination:
    """One repository; `owned` are the patterns of files that may be deleted (see `trees.differences`)."""

    repo_id: str
    repo_type: str = "model"
    private: bool = True
    revision: str = "main"
    tag: str | None = None
    owned: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)  # of a Space

    @property
    def name(self) -> str:
        """The repository as its address shows it."""
        return self.repo_id if self.repo_type == "model" else f"{self.repo_type}s/{self.repo_id}"

    @property
    def key(self) -> dict[str, str]:
        """What every call of the client wants."""
        return {"repo_id": self.repo_id, "repo_type": self.repo_type}


@dataclass(frozen=True)
class Delivery:
    """A tree compared with what its repository holds at commit `head`."""

    destination: Destination
    tree: Tree
    head: str
    changed: list[str]
    stale: list[str]
    tagged: str | None  # the commit that the wanted tag names already


def check_repo_name(name: str) -> None:
    """Refuse what cannot be a repository.

    Raises:
        PublishError: `name` is not user/name.
    """
    try:
        validate_repo_id(name)
        valid = name.count("/") == 1
    except HFValidationError:
        valid = False
    if not valid:
        raise PublishError(
            f"{name!r} cannot name a repository: write user/name with letters, digits, '-', '_' and '.', or ./folder."
        )


def check_token(token: str | None = None) -> str:
    """Return the token that the Hub's own tools would use, without asking the Hub.

    Raises:
        PublishError: there is none.
    """
    token = token or get_token()
    if not token:
        raise PublishError(
            "No Hub token: make one with the right 'write' under 'Access Tokens' in your account's settings and give it "
            "as HF_TOKEN, or run `hf auth login`."
        )
    return token


class Sender:
    """Publishes trees with one token; `deliver` is the whole of it."""

    def __init__(self, token: str | None = None):
        token = check_token(token)
        self.api = HfApi(token=token)
        self.call = HubCalls(self.api.endpoint, token)
        self.rights_checked = False

    def deliver(self, parcels: list[tuple[Tree, Destination]], message: str) -> list[str]:
        """Bring every repository to its tree and return a line about each.

        Raises:
            PublishError: names repository and remedy; each repository is whole or as it was.
        """
        self.check_rights()
        deliveries = [self.compare(tree, destination) for tree, destination in parcels]
        lines = []
        for delivery in deliveries:
            commit = self._commit(delivery, message)
            self._tag(delivery, commit)
            count = len(delivery.changed)
            parts = [f"{count} file{'s' if count > 1 else ''} sent" if count else "unchanged"]
            parts += [f"{len(delivery.stale)} deleted"] if delivery.stale else []
            lines.append(f"{self.api.endpoint}/{delivery.destination.name}: {', '.join(parts)}, commit {commit[:8]}")
        return lines

    def check_rights(self) -> None:
        """Refuse a token that can only read.

        Raises:
            PublishError: the Hub does not know the token, or it has not the right to write.
        """
        if self.rights_checked:
            return
        account = self.call("your account", self.api.whoami)
        if account.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise PublishError(
                f"The token can only read: make one with the right 'write' at {self.api.endpoint}/settings/tokens and "
                "give it as HF_TOKEN or with `hf auth login`."
            )
        self.rights_checked = True

    def compare(self, tree: Tree, destination: Destination) -> Delivery:
        """Find out what must change. A missing repository or branch is made; no file is sent.

        Raises:
            PublishError: also where the tag stands elsewhere already.
        """
        self._create(destination)
        try:
            head = self._head(destination)
        except RevisionNotFoundError:
            branch = {"branch": destination.revision, "exist_ok": True}
            self.call(destination.name, self.api.create_branch, **destination.key, **branch)
            head = self._head(destination)
        changed, stale = differences(tree, self._files(destination, head), destination.owned)
        tagged = self._tag_target(destination)
        if tagged and (changed or stale or tagged != head):
            raise PublishError(
                f"{destination.name} has a tag {destination.tag} already, and other files under it (commit {tagged[:8]}): "
                "nothing was sent; choose another --tag."
            )
        return Delivery(destination, tree, head, changed, stale, tagged)

    def _create(self, destination: Destination) -> None:
        sdk = {"space_sdk": "gradio"} if destination.repo_type == "space" else {}
        options = {"private": destination.private, "exist_ok": True} | sdk
        try:
            self.call(destination.name, self.api.create_repo, **destination.key, **options)
        except KeyError:
            # A self-hosted Hub may answer 409 without the address that the client reads: the repository exists, or
            # the next look-up says that it does not.
            return

    def _head(self, destination: Destination) -> str:
        look_up = {"revision": destination.revision, "let_through": _is_missing_branch}
        info = self.call(destination.name, self.api.repo_info, **destination.key, **look_up)
        if destination.private and info.private is False:  # creating it again does not make it private
            raise PublishError(
                f"{destination.name} is public already: nothing was sent; add --public if everybody may read this, or "
                "choose another name."
            )
        return info.sha

    def _files(self, destination: Destination, revision: str) -> dict[str, RepoFile]:
        def listed() -> dict[str, RepoFile]:
            entries = self.api.list_repo_tree(**destination.key, recursive=True, revision=revision)
            return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

        return self.call(destination.name, listed)

    def _commit(self, delivery: Delivery, message: str) -> str:
        """Return the commit that holds the tree."""
        destination = delivery.destination
        head = self._new_head(delivery, message)
        self._set_variables(destination)  # afterwards: a Space is restarted with its new files
        return head

    def _new_head(self, delivery: Delivery, message: str) -> str:
        destination = delivery.destination
        if not delivery.changed and not delivery.stale:
            return delivery.head
        try:
            return self.call(destination.name, self._send, delivery, message, let_through=_has_moved)
        except HfHubHTTPError as error:
            # The branch moved: by this very commit, whose answer was lost on the way, or by somebody else.
            head = self._head(destination)
            if differences(delivery.tree, self._files(destination, head), destination.owned) == ([], []):
                return head
            status = error.response.status_code
            raise PublishError(
                f"Somebody pushed to {destination.name} meanwhile ({status}): nothing was overwritten; look at "
                f"{self.api.endpoint}/{destination.name}/commits/{destination.revision}, then repeat the command."
            ) from None

    def _set_variables(self, destination: Destination) -> None:
        if not destination.variables:
            return
        present = self.call(destination.name, self.api.get_space_variables, destination.repo_id)
        for name, value in destination.variables.items():
            if name not in present or present[name].value != value:  # setting one restarts the Space
                self.call(destination.name, self.api.add_space_variable, destination.repo_id, name, value)

    def _send(self, delivery: Delivery, message: str) -> str:
        tree = {path: delivery.tree[path] for path in delivery.changed}
        sources = {path: str(source) if isinstance(source, Path) else source for path, source in tree.items()}
        operations: list[Any] = [CommitOperationAdd(path, source) for path, source in sources.items()]
        operations += [CommitOperationDelete(path) for path in delivery.stale]
        commit = self.api.create_commit(
            **delivery.destination.key,
            operations=operations,
            commit_message=message,
            revision=delivery.destination.revision,
            parent_commit=delivery.head,
        )
        return commit.oid

    def _tag_target(self, destination: Destination) -> str | None:
        if destination.tag is None:
            return None
        refs = self.call(destination.name, self.api.list_repo_refs, **destination.key)
        return next((ref.target_commit for ref in refs.tags if ref.name == destination.tag), None)

    def _tag(self, delivery: Delivery, commit: str) -> None:
        destination = delivery.destination
        if destination.tag is None or delivery.tagged == commit:
            return
        tag = {"tag": destination.tag, "revision": commit, "exist_ok": True}
        try:
            self.call(destination.name, self.api.create_tag, **destination.key, **tag)
        except PublishError as error:
            raise PublishError(f"{destination.name} is complete but for its tag {destination.tag}. {error}") from None
        if self._tag_target(destination) != commit:
            raise PublishError(
                f"{destination.name} got a tag {destination.tag} from somebody else: choose another --tag."
            )


def _is_missing_branch(error: Exception) -> bool:
    return isinstance(error, RevisionNotFoundError)


def _has_moved(error: Exception) -> bool:
    return status_of(error) in (409, 412)
