"""A function that is called before there is one; see ../rehearse.py."""


def handler(event, context):
    return event
