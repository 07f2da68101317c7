"""How the loopback Hub answers: one method for each kind of request, the table of addresses at the end."""

import base64
import hashlib
import json
import re
import socket
import struct
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from loopback_store import LICENCES, PART, READ, WRITE, Repo, Request, git_oid, is_large

if TYPE_CHECKING:
    from loopback_hub import LoopbackHub


class Handler(BaseHTTPRequestHandler):
    hub: "LoopbackHub"
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.handle_request()

    do_HEAD = do_POST = do_PUT = do_GET

    def handle_request(self) -> None:
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        line = f"{self.command} {unquote(url.path)}"
        with self.hub.lock:
            self.hub.requests.append(Request(self.command, unquote(url.path), self.headers["Host"], token))
            fault = next((f for f in self.hub.faults if f.times and fnmatch(line, f.match)), None)
            if fault and fault.skip:
                fault.skip, fault = fault.skip - 1, None
            elif fault:
                fault.times -= 1
        if fault and fault.action:
            fault.action()
        if fault and fault.status is None and not fault.after:
            self.rfile.read(min(int(self.headers.get("Content-Length") or 0) // 2, 1 << 20))
            return self.cut()
        self.body = self.read_body()
        if fault and not fault.after:
            return self.reply(fault.status, b"<html>fault</html>", fault.headers)
        if fault:
            self.reply = lambda *_, **__: None  # type: ignore[method-assign]
        with self.hub.lock:
            self.route(url.path, token)
        if fault:
            del self.reply
            self.reply(fault.status, b"<html>fault</html>", fault.headers) if fault.status else self.cut()

    def cut(self) -> None:
        self.close_connection = True
        # A reset, not a polite end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.rfile = self.wfile = open("/dev/null", "r+b")  # noqa: SIM115  the base class flushes what is gone

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while count := int(self.rfile.readline(), 16):
            body += self.rfile.read(count)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def reply(self, status: int, content: bytes | dict | list = b"", headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if not isinstance(content, bytes):
            self.send_header("Content-Type", "application/json")
        if "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def error(self, status: int, code: str, message: str) -> None:
        self.reply(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def route(self, path: str, token: str | None) -> None:
        self.role = {WRITE: "write", READ: "read"}.get(token)
        if token and not self.role:
            return self.error(401, "", "Invalid credentials in Authorization header")
        for pattern, method in ROUTES:
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                return method(self, *(unquote(part or "") for part in found.groups()))
        return self.error(404, "EntryNotFound", f"no such address: {path}")

    def repo(self, kind: str, name: str, write: bool = False) -> Repo | None:
        repo = self.hub.repos.get(f"{kind or 'models'}/{name}")
        if repo is None or (repo.private and not self.role):
            self.error(404 if self.role else 401, "RepoNotFound", "Repository not found")
        elif write and self.role != "write":
            self.error(403, "", "Forbidden: you must use a write token")
        else:
            return repo
        return None

    def whoami(self) -> None:
        if not self.role:
            return self.error(401, "", "Invalid username or password.")
        auth = {"type": "access_token", "accessToken": {"displayName": "test", "role": self.role}}
        self.reply(200, {"type": "user", "name": "user", "orgs": [{"name": "club"}], "auth": auth})

    def create(self) -> None:
        wanted = json.loads(self.body)
        owner, kind = wanted.get("organization") or "user", wanted.get("type", "model") + "s"
        if self.role != "write":
            return self.error(403 if self.role else 401, "", "You need a write token")
        if owner not in ("user", "club"):
            return self.error(404, "", "organization not found")
        key, name = f"{kind}/{owner}/{wanted['name']}", f"{owner}/{wanted['name']}"
        answer = {"url": f"{self.hub.endpoint}/{'' if kind == 'models' else kind + '/'}{name}", "name": name}
        if key in self.hub.repos:
            return self.reply(409, answer | {"error": "You already created this repo"})
        self.hub.repos[key] = Repo(private=wanted.get("visibility") == "private")
        self.hub.repos[key].commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"})
        self.reply(200, answer)

    def validate(self) -> None:
        content = json.loads(self.body)["content"]
        front = content.split("---\n")[1] if content.startswith("---\n") else ""
        licence = (yaml.safe_load(front) or {}).get("license")
        errors = [] if licence in (*LICENCES, None) else [{"message": f'"license" must not be {licence}'}]
        self.reply(400 if errors else 200, {"errors": errors, "warnings": []})

    def info(self, kind: str, name: str, revision: str = "main") -> None:
        if not (repo := self.repo(kind, name)):
            return
        if not (commit := repo.resolve(revision or "main")):
            return self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        siblings = [{"rfilename": path} for path in repo.files(commit)]
        answer = {"id": name, "modelId": name, "sha": commit, "private": repo.private, "siblings": siblings, "tags": []}
        self.reply(200, answer)

    def tree(self, kind: str, name: str, revision: str, folder: str) -> None:
        if not (repo := self.repo(kind, name)):
            return
        if not repo.resolve(revision):
            return self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        inside = f"{folder}/" if folder else ""
        files = {path: data for path, data in repo.files(revision).items() if path.startswith(inside)}
        if not files:
            return self.error(404, "EntryNotFound", f"{folder} does not exist")
        entries, folders = [], set()
        for path, data in sorted(files.items()):
            parents = path[len(inside) :].split("/")[:-1]
            folders |= {inside + "/".join(parents[: i + 1]) for i in range(len(parents))}
            if not parents or "recursive" in self.query:
                entries.append(self.entry(path, data))
        if "recursive" not in self.query:
            folders = {f for f in folders if "/" not in f[len(inside) :]}
        self.reply(200, entries + [{"type": "directory", "path": f, "oid": git_oid(f.encode())} for f in folders])

    def entry(self, path: str, data: bytes) -> dict:
        entry = {"type": "file", "path": path, "size": len(data), "oid": git_oid(data)}
        if is_large(path, len(data)):
            digest = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
        return entry

    def refs(self, kind: str, name: str) -> None:
        if repo := self.repo(kind, name):
            named = {"branches": ("heads", repo.branches), "tags": ("tags", repo.tags)}
            self.reply(200, {
                key: [{"name": n, "ref": f"refs/{part}/{n}", "targetCommit": commit} for n, commit in refs.items()]
                for key, (part, refs) in named.items()
            } | {"converts": []})  # fmt: skip

    def preupload(self, kind: str, name: str, revision: str) -> None:
        if repo := self.repo(kind, name, write=True):
            present, files = repo.files(revision), []
            for file in json.loads(self.body)["files"]:
                path, mode = file["path"], "lfs" if is_large(file["path"], file["size"]) else "regular"
                old = present.get(path)
                oid = (hashlib.sha256(old).hexdigest() if mode == "lfs" else git_oid(old)) if old else None
                files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
            self.reply(200, {"files": files})

    def batch(self, kind: str, name: str) -> None:
        if not self.repo(kind, name, write=True):
            return
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            answer = {"oid": oid, "size": size}
            if oid not in self.hub.large:
                upload: dict = {"href": f"{self.hub.storage}/lfs-store/{oid}"}
                if size > PART:
                    parts = {str(n + 1): f"{self.hub.storage}/lfs-store/{oid}/{n}" for n in range(-(-size // PART))}
                    upload = {
                        "href": f"{self.hub.endpoint}/lfs-complete/{oid}",
                        "header": parts | {"chunk_size": str(PART)},
                    }
                answer["actions"] = {"upload": upload, "verify": {"href": f"{self.hub.endpoint}/lfs-verify"}}
            objects.append(answer)
        self.reply(200, {"transfer": "basic", "objects": objects})

    def store(self, oid: str, part: str) -> None:
        if not part and hashlib.sha256(self.body).hexdigest() != oid:
            return self.error(400, "", "checksum mismatch")
        self.hub.large[f"{oid}/{part}" if part else oid] = self.body
        self.reply(200, headers={"ETag": hashlib.md5(self.body).hexdigest()})

    def complete(self, oid: str) -> None:
        count = len(json.loads(self.body)["parts"])
        whole = b"".join(self.hub.large.pop(f"{oid}/{n}") for n in range(count))
        if hashlib.sha256(whole).hexdigest() != oid:
            return self.error(400, "", "checksum mismatch")
        self.hub.large[oid] = whole
        self.reply(200, {})

    def verify(self) -> None:
        wanted = json.loads(self.body)
        found = len(self.hub.large.get(wanted["oid"], b"")) == wanted["size"]
        self.reply(200 if found else 404, {})

    def commit(self, kind: str, name: str, branch: str) -> None:
        if not (repo := self.repo(kind, name, write=True)):
            return
        lines = [json.loads(line) for line in self.body.splitlines() if line.strip()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        if header.get("parentCommit") not in (None, repo.branches.get(branch)):
            return self.error(412, "", "A commit has happened since. Please refresh and try again.")
        files = repo.files(branch)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        commit = repo.commit(branch, files)
        url = f"{self.hub.endpoint}/{name}/commit/{commit}"
        self.reply(200, {"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})

    def tag(self, kind: str, name: str, revision: str) -> None:
        if repo := self.repo(kind, name, write=True):
            tag = json.loads(self.body)["tag"]
            if tag in repo.tags:
                return self.error(409, "", "Tag reference exists already")
            repo.tags[tag] = str(repo.resolve(revision))
            self.reply(200, {})

    def branch(self, kind: str, name: str, branch: str) -> None:
        if repo := self.repo(kind, name, write=True):
            if branch in repo.branches:
                return self.error(409, "", "Reference already exists")
            repo.branches[branch] = repo.branches["main"]
            self.reply(200, {})

    def variables(self, name: str) -> None:
        if repo := self.repo("spaces", name, write=True):
            if self.body:
                wanted = json.loads(self.body)
                repo.variables[wanted["key"]] = wanted["value"]
            self.reply(200, {key: {"key": key, "value": value} for key, value in repo.variables.items()})

    def resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        if not (repo := self.repo((kind or "models/").rstrip("/"), name)):
            return
        if not (commit := repo.resolve(revision)):
            return self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        data = repo.files(commit).get(path)
        headers = {"X-Repo-Commit": commit}
        if data is None:
            return self.reply(
                404, b"", headers | {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            )
        if is_large(path, len(data)):
            digest = hashlib.sha256(data).hexdigest()
            self.hub.large.setdefault(digest, data)
            headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(data))}
            return self.reply(302, b"", headers | {"Location": f"{self.hub.storage}/cdn/{digest}"})
        headers |= {"ETag": f'"{git_oid(data)}"', "Content-Length": str(len(data))}
        self.reply(200, data, headers)

    def cdn(self, digest: str) -> None:
        data = self.hub.large[digest]
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            start, end = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
            span = {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
            return self.reply(206, data[start : end + 1], {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"} | span)
        self.reply(200, data, {"ETag": f'"{digest}"', "Accept-Ranges": "bytes"})


API, ID = r"/api/(models|datasets|spaces)", r"([^/]+/[^/]+)"
ROUTES = [
    (r"GET /api/whoami-v2", Handler.whoami),
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"GET {API}/{ID}", Handler.info),
    (rf"GET {API}/{ID}/revision/([^/]+)", Handler.info),
    (rf"GET {API}/{ID}/tree/([^/]+)(?:/(.+))?", Handler.tree),
    (rf"GET {API}/{ID}/refs", Handler.refs),
    (rf"POST {API}/{ID}/preupload/([^/]+)", Handler.preupload),
    (rf"POST {API}/{ID}/commit/([^/]+)", Handler.commit),
    (rf"POST {API}/{ID}/tag/([^/]+)", Handler.tag),
    (rf"POST {API}/{ID}/branch/([^/]+)", Handler.branch),
    (rf"(?:GET|POST) /api/spaces/{ID}/variables", Handler.variables),
    (rf"POST /(?:(datasets|spaces)/)?{ID}\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /lfs-store/(\w+)(?:/(\d+))?", Handler.store),
    (r"POST /lfs-complete/(\w+)", Handler.complete),
    (r"POST /lfs-verify", Handler.verify),
    (rf"(?:GET|HEAD) /(datasets/|spaces/)?{ID}/resolve/([^/]+)/(.+)", Handler.resolve),
    (r"(?:GET|HEAD) /cdn/(\w+)", Handler.cdn),
]
