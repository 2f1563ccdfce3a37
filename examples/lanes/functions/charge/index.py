"""The task `charge`: takes the money and tells it to whom it concerns."""

from heddle import emit

LIMIT = 100


class CardDeclined(Exception):
    """Declared in heddle.yml, so that callers get it as what it is."""

    def __init__(self, amount):
        super().__init__(f"the card is good for {LIMIT}, not for {amount}")
        self.error_data = {"limit": LIMIT}


def handler(event, context):
    if event["amount"] > LIMIT:
        raise CardDeclined(event["amount"])
    receipt = {"order": event["order"], "charged": event["amount"]}
    emit("order-paid", receipt)  # returns when the queue has it for good
    return receipt
