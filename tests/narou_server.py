"""A loopback server that speaks the なろう小説API's format, with invented works and faults on request.

    with NarouServer(make_works(3000), fail_share=0.2) as server: collect(server.url)

Recorded from the real one: element 0 is the count, gzip file bodies, `\\uXXXX`, `\\/`, HTML escapes, `noveltype` when
asked for with `of=`, `novel_type` otherwise, errors as plain text, at most 500 rows, at most row 2,499.
"""

import gzip
import json
import random
import sys
import threading
import time
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

from conftest import PAIRS

from training.collect import JST
from training.data import read_json_lines

START = int(datetime(2024, 3, 1, tzinfo=JST).timestamp())
DAY = 24 * 3600
FAULTS = ("503", "429", "cut", "corrupt", "text", "empty", "hang up")
CODES = {
    "t": "title", "n": "ncode", "u": "userid", "w": "writer", "s": "story", "bg": "biggenre", "g": "genre",
    "k": "keyword", "gf": "general_firstup", "gl": "general_lastup", "nt": "noveltype", "e": "end",
    "ga": "general_all_no", "l": "length", "i": "isstop", "ir": "isr15", "ibl": "isbl", "igl": "isgl",
    "izk": "iszankoku", "its": "istensei", "iti": "istenni", "gp": "global_point", "f": "fav_novel_cnt",
    "r": "review_cnt", "ah": "all_hyoka_cnt", "nu": "novelupdated_at", "ua": "updated_at",
}  # fmt: skip


def jst(unix):
    return datetime.fromtimestamp(unix, JST).strftime("%Y-%m-%d %H:%M:%S")


def make_work(i, updated, title=None, story=None, author=None, **more):
    """One work as the API would return it, before escaping."""
    return {
        "title": title or f"第{i}の灯台守と海のむこうの手紙", "ncode": f"N{1000 + i % 9000}{chr(65 + i // 9000)}A",
        "userid": 100_000 + (i // 3 if author is None else author), "writer": f"筆名{i // 3}",
        "story": story or f"灯台守の{i}人目は、海のむこうから届いた手紙を読んだ。\n「たすけて」とだけ書いてある。",
        "biggenre": 2, "genre": 201, "keyword": "灯台 手紙", "general_firstup": jst(updated - 3 * DAY),
        "general_lastup": jst(updated), "novel_type": 1 + i % 2, "end": i % 2, "general_all_no": 1 + i % 40,
        "length": 1000 + i, "isstop": 0, "isr15": int(i % 10 == 0), "isbl": 0, "isgl": 0, "iszankoku": 0,
        "istensei": 0, "istenni": 0, "global_point": i, "fav_novel_cnt": i, "review_cnt": 0, "all_hyoka_cnt": 0,
        "novelupdated_at": jst(updated), "updated_at": jst(updated),
    } | more  # fmt: skip


def make_works(count, days=10, seed=0):
    """Works spread over `days` days from START, a few of them in the same second."""
    rng = random.Random(seed)
    times = [START + rng.randrange(days * DAY) for _ in range(count)]
    return [make_work(i, times[i - 1] if i % 50 == 1 else times[i]) for i in range(count)]


def original_works(count=None, days=300):
    """The bundled pairs as works: three by each author, in the order of their publication."""
    pairs = list(read_json_lines(PAIRS))[:count]
    step = days * DAY // len(pairs)
    return [make_work(i, START + i * step, pair["title"], pair["synopsis"]) for i, pair in enumerate(pairs)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Stay silent when a client was killed in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class NarouServer:
    """Serves `works` on a port of its own.

    Args:
        fail_share: this share of the requests gets one of FAULTS.
        before: called with (server, number of the request) before each answer, to change the world meanwhile.
        withhold: ncodes that are counted but never given.
    """

    def __init__(self, works, fail_share=0.0, seed=1, before=None, withhold=(), retry_after="0"):
        self.works = list(works)
        self.fail_share, self.before, self.withhold, self.retry_after = fail_share, before, set(withhold), retry_after
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.requests, self.agents, self.times = [], set(), []
        self.fixed_faults = []  # these come first, one for each request

    def __enter__(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server._answer(self)

            def log_message(self, *arguments):
                pass

        self.http = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/novelapi/api/"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()

    def _answer(self, handler):
        query = {name: values[0] for name, values in parse_qs(urlparse(handler.path).query).items()}
        with self.lock:
            self.times.append(time.monotonic())
            self.requests.append(query)
            self.agents.add(handler.headers["User-Agent"])
            if self.before:
                self.before(self, len(self.requests))
            fault = self._fault()
            body = self._body(query)
        if fault in ("503", "429"):
            more = {"Retry-After": self.retry_after} if fault == "429" else {}
            return _send(handler, b"Service Unavailable", int(fault), more)
        if fault == "cut":
            handler.close_connection = True
            return _send(handler, body[: len(body) // 2], 200, {"Content-Length": str(len(body))})
        if fault == "hang up":
            handler.close_connection = True
            return None
        if fault == "corrupt":
            body = body[: len(body) // 2] + bytes(b ^ 0x5A for b in body[len(body) // 2 :])
        return _send(handler, {"text": b"Error: too busy.", "empty": b""}.get(fault, body), 200, {})

    def _fault(self):
        if self.fixed_faults:
            return self.fixed_faults.pop(0)
        return self.random.choice(FAULTS) if self.random.random() < self.fail_share else None

    def _body(self, query):
        start, limit = int(query.get("st", 1)), int(query.get("lim", 20))
        if limit > 500 or start > 2000 or query.get("out") != "json":
            return b"Error: invalid parameter."
        found = self._matching(query)
        rows = found[start - 1 : min(start - 1 + limit, 2499)]
        rows = [_fields(work, query.get("of")) for work in rows if work["ncode"] not in self.withhold]
        text = json.dumps([{"allcount": len(found)}, *rows], separators=(",", ":")).replace("/", "\\/")
        return gzip.compress(text.encode("ascii")) if "gzip" in query else text.encode("ascii")

    def _matching(self, query):
        works = self.works
        if "lastup" in query:
            first, last = map(int, query["lastup"].split("-"))
            first, last = jst(first), jst(last)  # written so that text sorts like time
            works = [work for work in works if first <= work["general_lastup"] <= last]
        if "ncode" in query:
            wanted = set(query["ncode"].upper().split("-"))
            works = [work for work in works if work["ncode"] in wanted]
        return sorted(works, key=lambda work: work["general_lastup"], reverse=True)


def _fields(work, of):
    escaped = work | {name: _escape(work[name]) for name in ("title", "story")}
    if not of:
        return escaped
    names = [CODES[code] for code in of.split("-")]
    return {name: escaped["novel_type" if name == "noveltype" else name] for name in names}


def _escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _send(handler, body, status, headers):
    handler.send_response(status)
    for name, value in (
        {"Content-Length": str(len(body)), "Content-Type": "application/octet-stream"} | headers
    ).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
