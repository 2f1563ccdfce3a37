"""What tests of event sources share: functions that ask the test what to do with an event, and a
queue server."""

import http.server
import json
import socketserver
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent

# Sends each event to the test, and ends as the test says.
HANDLER = {"index.mjs": """
export const handler = async (event, context) => {
  const answer = await fetch(process.env.COLLECT, {
    method: 'POST', body: JSON.stringify({ event, id: context.awsRequestId }) });
  const told = await answer.json();
  if (told.error) throw new Error(told.error);
  return told.value;
};
"""}


class Collector:
    """Where functions send their events. `decide(event)` returns the answer, or raises."""

    def __init__(self):
        self.events, self.running, self.most = [], 0, 0
        self.decide = lambda event: None
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(outer.take(body.get("event", body))).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self.server = Threads(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def take(self, event):
        with self.lock:
            self.events.append(event)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return {"value": self.decide(event)}
        except Exception as why:  # whatever the test raises is the function's error
            return {"error": str(why)}
        finally:
            with self.lock:
                self.running -= 1

    def records(self):
        """All records of all events so far."""
        with self.lock:
            return [record for event in self.events for record in event.get("Records", ())]

    def bodies(self):
        return [record["body"] for record in self.records()]

    def close(self):
        self.server.shutdown()


class Sqs:
    """sqs_server.py, and what tests ask of it."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, str(HERE / "sqs_server.py")],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)

    def ask(self, action, **arguments):
        request = urllib.request.Request(
            self.url, json.dumps(arguments).encode(),
            {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": "application/x-amz-json-1.0"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def test(self, path, **arguments):
        data = json.dumps(arguments).encode() if arguments else None
        with urllib.request.urlopen(f"{self.url}/test/{path}", data, timeout=10) as answer:
            return json.load(answer)

    def make(self, name, **attributes):
        self.ask("CreateQueue", QueueName=name,
                 Attributes={key: str(value) for key, value in attributes.items()})
        return f"arn:aws:sqs:us-east-1:000000000000:{name}"

    def send(self, name, body, **more):
        body = body if isinstance(body, str) else json.dumps(body)
        return self.ask("SendMessage", QueueUrl=f"x/{name}", MessageBody=body, **more)["MessageId"]

    def left(self, name):
        """(visible, hidden)"""
        a = self.ask("GetQueueAttributes", QueueUrl=f"x/{name}",
                     AttributeNames=["All"])["Attributes"]
        return (int(a["ApproximateNumberOfMessages"]),
                int(a["ApproximateNumberOfMessagesNotVisible"]))
