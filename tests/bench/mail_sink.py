"""A mail server that accepts everything and prints one line for each message: its subject."""

import os
import socketserver

COMMANDS = (b"HELO", b"EHLO", b"MAIL", b"RCPT", b"RSET", b"NOOP")


class Sink(socketserver.StreamRequestHandler):
    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        self.say("220 sink")
        for line in self.rfile:
            command = line[:4].upper()
            if command in COMMANDS:
                self.say("250 ok")
            elif command == b"DATA":
                self.say("354 go on")
                subject = self.subject()
                # Printed before the acknowledgement, so that no acknowledged message is missing.
                # Written at once, unlike by print, so that two messages never share a line.
                os.write(1, f"{subject}\n".encode())
                self.say("250 taken")
            elif command == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("502 unknown")

    def subject(self) -> str:
        found = ""
        for line in self.rfile:
            if line.rstrip(b"\r\n") == b".":
                break
            if line.lower().startswith(b"subject:") and not found:
                found = line.decode().partition(":")[2].strip()
        return found


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


if __name__ == "__main__":
    with Server(("0.0.0.0", 1025), Sink) as server:
        server.serve_forever()
