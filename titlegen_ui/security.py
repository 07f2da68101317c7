"""What every answer of the server carries, and what it refuses to read: no outside requests, no endless bodies."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 5_000_000  # bytes; the longest synopsis is far below, the largest batch file too
# Gradio's own page needs inline scripts and `new Function` for templates; everything else stays on this server.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class Guard:
    """ASGI middleware: adds `HEADERS`, answers 413 to bodies above `MAX_BODY`."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MAX_BODY:
            await send({"type": "http.response.start", "status": 413, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"This request is too large; send at most 5 MB."})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message.get("headers", []), *HEADERS]}
            await send(message)

        read = 0

        async def receive_at_most() -> Message:  # a body may come in pieces, without a length
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            return {"type": "http.disconnect"} if read > MAX_BODY else message

        await self.app(scope, receive_at_most, send_with_headers)
