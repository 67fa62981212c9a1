"""A file server for benchmark pages: cross-origin isolation (threads need it), single ranges, reports by POST."""

import functools
import http.server
import os
import re
import shutil
import threading
import urllib.parse

TYPES = {
    ".wasm": "application/wasm",
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".json": "application/json",
    ".css": "text/css",
}


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, **TYPES}

    def __init__(self, *args, site, **options):
        self.site = site
        self.left = None  # how much of a range is still to be sent
        super().__init__(*args, **options)

    def translate_path(self, path):
        return self.site.find(path) or os.path.join(os.sep, "nonexistent")

    def end_headers(self):
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()

    def send_error(self, code, *_):
        # Without a body: a browser without fonts dies of showing one.
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def list_directory(self, path):
        self.send_error(404)

    def send_head(self):
        self.left = None
        path = self.translate_path(self.path)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted or not os.path.isfile(path):
            return super().send_head()
        size = os.path.getsize(path)
        first, last = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
        if first > last:
            self.send_error(416)
            return None
        file = open(path, "rb")
        file.seek(first)
        self.left = last - first + 1
        self.send_response(206)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(self.left))
        self.end_headers()
        return file

    def copyfile(self, source, output):
        if self.left is None:
            shutil.copyfileobj(source, output, 4 << 20)
            return
        while self.left > 0 and (piece := source.read(min(4 << 20, self.left))):
            output.write(piece)
            self.left -= len(piece)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace")
        self.send_response(204)
        self.end_headers()
        self.site.on_post(self.path, body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a browser that was ended closes its connections


class Site:
    """`mounts`: (path, folder) pairs; of those whose path fits, the first folder that has the file."""

    def __init__(self, mounts):
        self.mounts = [
            ("/" + prefix.strip("/") + "/" if prefix.strip("/") else "/", os.path.abspath(folder))
            for prefix, folder in mounts
        ]
        self.on_post = lambda path, body: None
        self.server = Server(("127.0.0.1", 0), functools.partial(Handler, site=self))
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def find(self, address):
        path = urllib.parse.unquote(urllib.parse.urlsplit(address).path)
        for prefix, folder in self.mounts:
            if path.startswith(prefix):
                file = os.path.normpath(os.path.join(folder, path[len(prefix) :]))
                if (file + os.sep).startswith(folder + os.sep) and os.path.isfile(file):
                    return file
        return None
