"""A Lambda handler in Python: curl 'http://127.0.0.1:3100/functions/v1/hello-python?name=Ada'"""

import json
import platform


def handler(event, context):
    name = event.get("queryStringParameters", {}).get("name", "world")
    print(f"greeting {name}, {context.get_remaining_time_in_millis()} ms left")
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"message": f"Hello {name}!", "python": platform.python_version()}),
    }
