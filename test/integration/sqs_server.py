"""A server that speaks SQS (AWS JSON 1.0) for tests: queues with visibility timeouts, long polls,
FIFO groups, redrive; and that takes what is sent to topics, buses and buckets.

sqs_server.py [--key ID:SECRET[:TOKEN]]: serves on a free loopback port, prints it, and ends when its
standard input is closed. With a key, each request must be signed with it. Test calls, unsigned:
GET /test/log (what was asked so far), POST /test/fail {"action", "status", "type", "times"}.
"""

import base64
import hashlib
import hmac
import http.server
import json
import re
import socket
import socketserver
import sys
import threading
import time
import urllib.parse
import uuid


class Refused(Exception):
    def __init__(self, kind, message="", status=400):
        super().__init__(message)
        self.kind, self.status = kind, status


class Message:
    def __init__(self, body, attributes, group, clock):
        self.id = str(uuid.uuid4())
        self.body, self.attributes, self.group = body, attributes, group
        self.sent = self.visible_at = clock
        self.first_received, self.received, self.handle = None, 0, None

    def shown(self):
        system = {"SenderId": "AIDATEST", "SentTimestamp": str(int(self.sent * 1000)),
                  "ApproximateReceiveCount": str(self.received),
                  "ApproximateFirstReceiveTimestamp": str(int(self.first_received * 1000))}
        if self.group is not None:
            system["MessageGroupId"] = self.group
        out = {"MessageId": self.id, "ReceiptHandle": self.handle, "Body": self.body,
               "MD5OfBody": hashlib.md5(self.body.encode()).hexdigest(), "Attributes": system}
        if self.attributes:
            out["MessageAttributes"] = self.attributes
            out["MD5OfMessageAttributes"] = "0" * 32
        return out


class Queue:
    def __init__(self, name, attributes):
        self.name = name
        self.attributes = {"VisibilityTimeout": "30", **attributes}
        self.messages = []
        self.seen = {}  # deduplication ids

    @property
    def fifo(self):
        return self.name.endswith(".fifo")


class Server:
    account, region = "000000000000", "us-east-1"

    def __init__(self):
        self.changed = threading.Condition()
        self.queues, self.log, self.failures, self.sent = {}, [], [], []
        self.key = None
        self.port = 0

    # --- queues; all under self.changed

    def queue(self, arguments):
        name = arguments["QueueUrl"].rsplit("/", 1)[-1]
        if name not in self.queues:
            raise Refused("com.amazonaws.sqs#QueueDoesNotExist",
                          "The specified queue does not exist.")
        return self.queues[name]

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{self.account}/{name}"

    def arn(self, name):
        return f"arn:aws:sqs:{self.region}:{self.account}:{name}"

    def CreateQueue(self, a):
        name = a["QueueName"]
        self.queues.setdefault(name, Queue(name, a.get("Attributes", {})))
        return {"QueueUrl": self.url(name)}

    def GetQueueUrl(self, a):
        if a["QueueName"] not in self.queues:
            raise Refused("com.amazonaws.sqs#QueueDoesNotExist",
                          "The specified queue does not exist.")
        return {"QueueUrl": self.url(a["QueueName"])}

    def DeleteQueue(self, a):
        del self.queues[self.queue(a).name]
        return {}

    def SetQueueAttributes(self, a):
        self.queue(a).attributes.update(a["Attributes"])
        return {}

    def GetQueueAttributes(self, a):
        q, now = self.queue(a), time.monotonic()
        hidden = sum(m.visible_at > now for m in q.messages)
        return {"Attributes": {
            **q.attributes, "QueueArn": self.arn(q.name),
            **({"FifoQueue": "true"} if q.fifo else {}),
            "ApproximateNumberOfMessages": str(len(q.messages) - hidden),
            "ApproximateNumberOfMessagesNotVisible": str(hidden)}}

    def SendMessage(self, a):
        q = self.queue(a)
        if q.fifo and not a.get("MessageGroupId"):
            raise Refused("com.amazonaws.sqs#MissingParameter", "MessageGroupId is needed")
        known = q.seen.get(a.get("MessageDeduplicationId"))
        if known is not None:
            return {"MessageId": known}
        m = Message(a["MessageBody"], a.get("MessageAttributes"), a.get("MessageGroupId"),
                    time.monotonic())
        m.visible_at += int(a.get("DelaySeconds", 0))
        q.messages.append(m)
        if a.get("MessageDeduplicationId"):
            q.seen[a["MessageDeduplicationId"]] = m.id
        self.changed.notify_all()
        return {"MessageId": m.id, "MD5OfMessageBody": hashlib.md5(m.body.encode()).hexdigest()}

    def SendMessageBatch(self, a):
        done = [{"Id": e["Id"], **self.SendMessage({**e, "QueueUrl": a["QueueUrl"]})}
                for e in a["Entries"]]
        return {"Successful": done, "Failed": []}

    def redrive(self, q, m):
        policy = json.loads(q.attributes.get("RedrivePolicy", "{}"))
        if not policy or m.received < int(policy["maxReceiveCount"]):
            return False
        target = self.queues[policy["deadLetterTargetArn"].rsplit(":", 1)[-1]]
        q.messages.remove(m)
        target.messages.append(Message(m.body, m.attributes, m.group, time.monotonic()))
        return True

    def take(self, q, most, hide):
        now, taken = time.monotonic(), []
        blocked = {m.group for m in q.messages if m.visible_at > now and m.handle} if q.fifo else ()
        for m in list(q.messages):
            if len(taken) == most:
                break
            if m.visible_at > now or (q.fifo and m.group in blocked) or self.redrive(q, m):
                continue
            m.received += 1
            m.first_received = m.first_received or now
            m.visible_at, m.handle = now + hide, f"{m.id}#{m.received}"
            taken.append(m)
        return taken

    def ReceiveMessage(self, a):
        q = self.queue(a)
        hide = float(a.get("VisibilityTimeout", q.attributes["VisibilityTimeout"]))
        until = time.monotonic() + int(a.get("WaitTimeSeconds", 0))
        while THREAD.is_asked_still():
            taken = self.take(q, int(a.get("MaxNumberOfMessages", 1)), hide)
            left = until - time.monotonic()
            if taken or left <= 0:
                return {"Messages": [m.shown() for m in taken]} if taken else {}
            self.changed.wait(min(left, 0.05))  # a timeout may make one visible
        return {}

    def held(self, q, handle):
        for m in q.messages:
            if m.handle == handle:
                return m
        return None

    def DeleteMessage(self, a):
        q = self.queue(a)
        m = self.held(q, a["ReceiptHandle"])
        if m is not None:
            q.messages.remove(m)
            self.changed.notify_all()
        return {}

    def DeleteMessageBatch(self, a):
        if not 1 <= len(a["Entries"]) <= 10:
            raise Refused("com.amazonaws.sqs#TooManyEntriesInBatchRequest", "1 to 10 entries")
        for e in a["Entries"]:
            self.DeleteMessage({"QueueUrl": a["QueueUrl"], **e})
        return {"Successful": [{"Id": e["Id"]} for e in a["Entries"]], "Failed": []}

    def ChangeMessageVisibilityBatch(self, a):
        q, done, failed = self.queue(a), [], []
        for e in a["Entries"]:
            m = self.held(q, e["ReceiptHandle"])
            if m is None:
                failed.append({"Id": e["Id"], "SenderFault": True, "Code": "ReceiptHandleIsInvalid"})
                continue
            m.visible_at = time.monotonic() + int(e["VisibilityTimeout"])
            done.append({"Id": e["Id"]})
        self.changed.notify_all()
        return {"Successful": done, "Failed": failed}

    # --- the other services

    def PutEvents(self, a):
        self.sent += [{"to": "events", **e} for e in a["Entries"]]
        bad = any(e["EventBusName"] == "missing" for e in a["Entries"])
        return {"FailedEntryCount": int(bad), "Entries": [
            {"ErrorCode": "InternalFailure"} if bad else {"EventId": "1"} for _ in a["Entries"]]}


class Asker(threading.local):
    """Who asks in this thread."""

    connection = None

    def is_asked_still(self):
        """Nothing is given to somebody who hung up."""
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False


SERVER, THREAD = Server(), Asker()


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def check_signature(handler, body):
    """The other side of signing, written apart from it."""
    identity, secret, *token = SERVER.key
    header = handler.headers.get("Authorization", "")
    m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
                     r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})", header)
    if m is None:
        raise Refused("MissingAuthenticationToken", "not signed", 403)
    key_id, date, region, service, names, signature = m.groups()
    values = "".join(f"{n}:{' '.join(handler.headers[n].split())}\n" for n in names.split(";"))
    path, _, query = handler.path.partition("?")
    if service != "s3":
        path = urllib.parse.quote(path, safe="/~")
    digest = hashlib.sha256(body).hexdigest()
    canonical = "\n".join([handler.command, path, query, values, names, digest])
    to_sign = "\n".join(["AWS4-HMAC-SHA256", handler.headers["X-Amz-Date"],
                         f"{date}/{region}/{service}/aws4_request",
                         hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = sign(key, part)
    sent_token = [handler.headers["X-Amz-Security-Token"]] \
        if "X-Amz-Security-Token" in handler.headers else []
    if key_id != identity or sent_token != token:
        raise Refused("InvalidClientTokenId", "The security token included in the request is "
                      "invalid.", 403)
    if not hmac.compare_digest(sign(key, to_sign).hex(), signature):
        raise Refused("SignatureDoesNotMatch", f"signed something else than {canonical!r}", 403)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/x-amz-json-1.0"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def test_call(self, body):
        with SERVER.changed:
            if self.path == "/test/fail":
                SERVER.failures.append(json.loads(body))
                result = {}
            else:
                result = {"log": SERVER.log, "sent": SERVER.sent}
            self.answer(200, json.dumps(result).encode())

    def fail_as_told(self, action):
        for f in SERVER.failures:
            if f["action"] == action and f.get("times", 1) > 0:
                f["times"] = f.get("times", 1) - 1
                raise Refused(f.get("type", "com.amazonaws.sqs#InternalFailure"), "as told",
                              f.get("status", 500))

    def serve(self, body):
        target = self.headers.get("X-Amz-Target", "")
        if target:
            action, arguments = target.partition(".")[2], json.loads(body)
        else:
            action = "Publish" if self.command == "POST" else "PutObject"
            arguments = dict(urllib.parse.parse_qsl(body.decode())) if action == "Publish" else {
                "path": self.path, "body": base64.b64encode(body).decode()}
        with SERVER.changed:
            SERVER.log.append([action, arguments])
            if SERVER.key:
                check_signature(self, body)
            self.fail_as_told(action)
            if target:
                return getattr(SERVER, action)(arguments)
            SERVER.sent.append({"to": action, **arguments})
        return None

    def do_any(self):
        THREAD.connection = self.connection
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.startswith("/test/"):
            self.test_call(body)
            return
        try:
            result = self.serve(body)
        except Refused as refused:
            if "X-Amz-Target" in self.headers:
                text = json.dumps({"__type": refused.kind, "message": str(refused)})
            else:
                text = (f"<ErrorResponse><Error><Code>{refused.kind}</Code>"
                        f"<Message>{refused}</Message></Error></ErrorResponse>")
            self.answer(refused.status, text.encode())
            return
        if result is None:
            self.answer(200, b"<Response/>", "text/xml")
        else:
            self.answer(200, json.dumps(result).encode() if result else b"{}")

    do_GET = do_POST = do_PUT = do_any


class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--key":
        SERVER.key = sys.argv[2].split(":")
    server = Threads(("127.0.0.1", 0), Handler)
    SERVER.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(SERVER.port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
