"""Says what nats-server's monitoring port says (/varz, /jsz, /healthz: JSON) in Prometheus's text format, on a loopback
port. Started by `ops/monitor --serve-nats`. With --once the text goes to standard output."""
import argparse
import http.server
import json
import re
import sys
import urllib.request

PATIENCE_S = 5
# name, help, type, document, path of keys
FIGURES = [
    ("barid_nats_connections", "Connections of processes to nats-server", "gauge", "varz", ["connections"]),
    ("barid_nats_messages_in_total", "Messages that nats-server received", "counter", "varz", ["in_msgs"]),
    ("barid_nats_messages_out_total", "Messages that it sent", "counter", "varz", ["out_msgs"]),
    ("barid_nats_bytes_in_total", "Bytes that it received", "counter", "varz", ["in_bytes"]),
    ("barid_nats_bytes_out_total", "Bytes that it sent", "counter", "varz", ["out_bytes"]),
    ("barid_nats_slow_consumers_total", "Connections cut because they read too slowly", "counter", "varz", ["slow_consumers"]),
    ("barid_nats_memory_bytes", "Resident memory of nats-server", "gauge", "varz", ["mem"]),
    ("barid_nats_cpu_percent", "CPU of nats-server; 100 is one core", "gauge", "varz", ["cpu"]),
    ("barid_nats_stored_messages", "Messages in all streams", "gauge", "jsz", ["messages"]),
    ("barid_nats_store_bytes", "Bytes that the streams take on disk", "gauge", "jsz", ["storage"]),
    ("barid_nats_store_max_bytes", "Bytes that they may take", "gauge", "jsz", ["config", "max_storage"]),
    ("barid_nats_consumers", "Consumers of all streams", "gauge", "jsz", ["consumers"]),
]


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as reply:
        return json.load(reply)


def streams(jsz):
    for account in jsz.get("account_details") or []:
        yield from account.get("stream_detail") or []


def text_of(varz, jsz):
    documents, lines = {"varz": varz, "jsz": jsz}, []
    for name, help_text, kind, document, path in FIGURES:
        value = documents[document]
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, (int, float)):
            lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}", f"{name} {value}"]
    # The shards of the inboxes are one series: what waits for devices that are away.
    sums = {}
    for stream in streams(jsz):
        name = re.sub(r"^INBOX_\d+$", "INBOX", stream.get("name", "?"))
        state = stream.get("state", {})
        messages, size = sums.get(name, (0, 0))
        sums[name] = (messages + state.get("messages", 0), size + state.get("bytes", 0))
    for figure, at, help_text in (("messages", 0, "Messages in a stream; INBOX: in all shards"),
                                  ("bytes", 1, "Bytes of a stream; INBOX: of all shards")):
        lines += [f"# HELP barid_nats_stream_{figure} {help_text}", f"# TYPE barid_nats_stream_{figure} gauge"]
        lines += [f'barid_nats_stream_{figure}{{stream="{name}"}} {values[at]}' for name, values in sorted(sums.items())]
    return "\n".join(lines) + "\n"


def look(port):
    return text_of(fetch(port, "/varz"), fetch(port, "/jsz?streams=true"))


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        try:
            status, data = (200, look(self.server.monitor_port)) if self.path == "/metrics" else (404, "not found\n")
        except (OSError, ValueError) as error:
            status, data = 503, f"nats-server does not answer: {error}\n"
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(data.encode())

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--monitor-port", type=int, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--once", action="store_true")
    options = parser.parse_args()
    if options.once:
        try:
            sys.stdout.write(look(options.monitor_port))
        except (OSError, ValueError) as error:
            sys.exit(f"monitor: nats-server does not answer on port {options.monitor_port}: {error}")
        return
    server = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Handler)
    server.monitor_port = options.monitor_port
    print(f"nats-server's metrics on 127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


main()
