"""`make status` and `make clear-queues`: what lies in a bot's two queues.

Events that the schedule could not deliver to the function, and posts that were given up after all their tries. A
message stays for 14 days and its alarm rings as long, so an owner who has mended the fault empties the queue.
"""

from __future__ import annotations

import json
from typing import Any

from infra.cloud.make import make
from infra.cloud.stack import Owner, Stack, aws_errors
from training.common.progress import Say
from training.common.terminal import one_line

QUEUES = {"ScheduleQueueUrl": "undelivered", "FailureQueueUrl": "given up"}
"""Output of the stack → what its messages are."""
SHOWN = 3
"""Messages of a queue that status shows; the others mostly say the same."""


def count(owner: Owner, outputs: dict[str, str]) -> dict[str, int]:
    """What the messages are → how many."""
    with aws_errors("look into the queues"):
        sqs, name = owner.client("sqs"), "ApproximateNumberOfMessages"
        return {
            what: int(sqs.get_queue_attributes(QueueUrl=outputs[url], AttributeNames=[name])["Attributes"][name])
            for url, what in QUEUES.items()
        }


def look(owner: Owner, outputs: dict[str, str]) -> list[str]:
    """A line for each of some messages. They stay where they are, and visible."""
    counted, lines = count(owner, outputs), []
    for url, what in QUEUES.items():
        if counted[what]:
            found = _receive(owner, outputs[url], visibility=0)
            lines += [f"{what}: {readable(message)}" for message in found[:SHOWN]]
    return lines


def _receive(owner: Owner, url: str, visibility: int) -> list[dict[str, Any]]:
    """Ten messages at most; the second's wait has SQS ask all its servers."""
    with aws_errors("read the queue"):
        answer = owner.client("sqs").receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=visibility,
            WaitTimeSeconds=1,
            MessageAttributeNames=["All"],
        )
    return list(answer.get("Messages", []))


def readable(message: dict[str, Any]) -> str:
    """The slot, and what went wrong: Lambda puts it into the message, the scheduler beside it."""
    try:
        body = json.loads(message["Body"])
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    event, answer = body.get("requestPayload", body), body.get("responsePayload") or {}
    beside = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    why = answer.get("errorMessage") or " ".join(filter(None, (beside.get("ERROR_CODE"), beside.get("ERROR_MESSAGE"))))
    why = why or body.get("requestContext", {}).get("condition") or "no reason given"
    return one_line(f"{event.get('scheduled_time') or event.get('slot') or 'a call without a slot'}: {why}")


def clear_queues(bot: str, say: Say) -> None:
    """Show every message, and delete it. None of them is posted later."""
    owner = Owner.present()
    stack = Stack.of(owner, bot)
    outputs = stack.outputs
    say(f"Emptying the queues of {stack.name} in {owner.region}; their slots are over and are not posted again.")
    deleted = 0
    for url, what in QUEUES.items():
        while messages := _receive(owner, outputs[url], visibility=60):
            for message in messages:
                say(f"  {what}: {readable(message)}")
                with aws_errors("delete the message"):
                    owner.client("sqs").delete_message(QueueUrl=outputs[url], ReceiptHandle=message["ReceiptHandle"])
            deleted += len(messages)
    say(f"{deleted} deleted; the alarms end within minutes." if deleted else "They were empty.")
    say(f"Next: {make('status')}")
