"""Effects and answers in a few words, for the log of a life."""

from __future__ import annotations

from typing import Any

from post_tweet import effects
from post_tweet.errors import PostError
from post_tweet.state import PostRecord, State, Text


def describe_effect(effect: effects.Effect) -> str:
    match effect:
        case effects.Save(state):
            claim = f"claim of {state.claim.index} for {state.claim.slot}" if state.claim else "no claim"
            return f"Save next {state.next}, {claim}"
        case effects.Publish(text) | effects.Ask(text):
            return f"{type(effect).__name__} {text!r}"
        case effects.Read() | effects.Recorded() | effects.Note():
            return f"{type(effect).__name__} {effects.index_of(effect, None)}"
    return type(effect).__name__


def describe_answer(answer: Any) -> str:
    match answer:
        case State():
            claim = f", claim of {answer.claim.index} for {answer.claim.slot}" if answer.claim else ""
            return f"next {answer.next} of {answer.total}{claim}" + (", paused" if answer.paused else "")
        case PostError():
            return type(answer).__name__
        case PostRecord():
            return f"a record for {answer.slot}"
        case None | Text():
            return "done"
    return str(answer)
