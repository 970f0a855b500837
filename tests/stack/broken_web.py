"""A web that passes the proxy's probe and answers every other request with what is not HTTP."""

import socketserver
import threading


class Broken(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        alive = b" /api/v1/health/live/ " in self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" if alive else b"?\r\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


if __name__ == "__main__":
    with Server(("0.0.0.0", 8001), Broken) as probed, Server(("0.0.0.0", 8000), Broken) as server:
        threading.Thread(target=probed.serve_forever, daemon=True).start()
        server.serve_forever()
