"""A Lambda function in Python: handler "index.handler", runtime python3.11."""

import logging

logging.getLogger().setLevel(logging.INFO)


def handler(event, context):
    name = event.get("name", "world")
    logging.info("greeting %s", name)
    return {"message": f"Hello {name}!", "requestId": context.aws_request_id}
