"""{{name}}: greets whoever is named in the query (?name=Ada) or in a JSON body ({"name": "Ada"})."""

import json


def handler(event, context):
    name = (event.get("queryStringParameters") or {}).get("name")
    if event["requestContext"]["http"]["method"] == "POST":
        try:
            name = json.loads(event.get("body") or "").get("name", name)
        except (ValueError, AttributeError):
            return answer(400, {"error": "the body must be a JSON object"})
    return answer(200, {"message": f"Hello {name or 'world'}!"})


def answer(status, body):
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
    }
