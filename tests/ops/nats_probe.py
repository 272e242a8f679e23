"""Speaks NATS to a server as one user and says what it allows: nats_probe.py PORT USER PASSWORD-FILE, then lines of
`pub SUBJECT` or `sub SUBJECT` on standard input; each is answered by itself and `allowed` or `refused`."""
import json
import socket
import sys

port, user, password_file = int(sys.argv[1]), sys.argv[2], sys.argv[3]
password = open(password_file).readline().strip()


def ask(line):
    verb, subject = line.split()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        stream = link.makefile("rwb")
        stream.readline()  # INFO
        options = {"user": user, "pass": password, "verbose": False, "headers": True}
        stream.write(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
        stream.write(f"PUB {subject} 0\r\n\r\n".encode() if verb == "pub" else f"SUB {subject} 1\r\n".encode())
        stream.write(b"PING\r\n")
        stream.flush()
        refused = False
        while (answer := stream.readline()) != b"PONG\r\n":
            if not answer or b"Authorization" in answer:
                return "nobody"
            refused |= b"Permissions Violation" in answer
        return "refused" if refused else "allowed"


for wanted in filter(str.strip, sys.stdin):
    print(wanted.strip(), ask(wanted))
