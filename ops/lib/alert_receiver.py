"""Takes Alertmanager's webhook (version 4) on a loopback port and calls ops/recover for alerts that name a recovery in
their label "recover", one after the other. Started by `ops/recover --listen`. Anything else in an alert is ignored: the
action and the process come from fixed lists, and ops/recover bounds and logs them."""
import argparse
import http.server
import json
import re
import subprocess
import sys

# Kinds of processes; of workers and edges also one by its number: worker-2.
ACTIONS = {"restart": {"worker", "edge", "nats"}, "rebalance": {"worker"}, "drain": {"worker", "edge"}}
BODY_BYTES_MAX = 1 << 20
ALERTS_MAX = 20
PATIENCE_S = 60


def is_allowed(action, name):
    numbered = re.fullmatch(r"(worker|edge)-[0-9]{1,3}", name)
    return (numbered.group(1) if numbered else name) in ACTIONS.get(action, ())


def wanted(body):
    """The (action, process, alert) of every firing alert that names a recovery, each once."""
    seen = []
    for alert in body.get("alerts", [])[:ALERTS_MAX]:
        labels = alert.get("labels", {})
        action, name = labels.get("recover", ""), labels.get("name", "")
        if alert.get("status") != "firing" or not is_allowed(action, name):
            continue
        if all((action, name) != (a, n) for a, n, _ in seen):
            seen.append((action, name, str(labels.get("alertname", "?"))))
    return seen


class Handler(http.server.BaseHTTPRequestHandler):
    timeout = 10

    def answer(self, status, text):
        data = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(*((200, "ok") if self.path == "/healthz" else (404, "not found")))

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/alerts" or not 0 < length <= BODY_BYTES_MAX:
            return self.answer(400, "POST /alerts with a body")
        try:
            recoveries = wanted(json.loads(self.rfile.read(length)))
        except (ValueError, AttributeError, TypeError):
            return self.answer(400, "not an alert")
        for action, name, alert in recoveries:
            options = self.server.options
            command = [options.recover, action, name, "--data", options.data, "--why", alert,
                       "--max-per-hour", str(options.max_per_hour)]
            try:
                code = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=PATIENCE_S, check=False).returncode
            except subprocess.TimeoutExpired:
                code = -1
            print(f"{alert}: {action} {name}: exit {code}", file=sys.stderr, flush=True)
        # A refusal is an answer too: Alertmanager need not send it again.
        return self.answer(200, f"{len(recoveries)} recoveries")

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--recover", required=True)
    parser.add_argument("--max-per-hour", type=int, default=3)
    options = parser.parse_args()
    server = http.server.HTTPServer(("127.0.0.1", options.port), Handler)
    server.options = options
    print(f"taking alerts on 127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


main()
