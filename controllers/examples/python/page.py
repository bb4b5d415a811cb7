"""What a session runs: a page, and at /notes a text that is kept in the session's home. Any other path is missing."""
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NOTES = Path(sys.argv[2]) / "notes.txt"


class Page(BaseHTTPRequestHandler):
    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/notes":
            return self.answer(200, NOTES.read_bytes() if NOTES.exists() else b"")
        return self.answer(200, b"A session.\n") if self.path == "/" else self.answer(404)

    def do_PUT(self):
        if self.path != "/notes":
            return self.answer(404)
        NOTES.write_bytes(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        return self.answer(204)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
