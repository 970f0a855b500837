"""A web that takes 0.2 s for each request, and none for the proxy's probes."""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.server.server_port == 8000:
            time.sleep(0.2)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


class Server(ThreadingHTTPServer):
    request_queue_size = 100


if __name__ == "__main__":
    Thread(target=Server(("0.0.0.0", 8001), Handler).serve_forever).start()
    Server(("0.0.0.0", 8000), Handler).serve_forever()
