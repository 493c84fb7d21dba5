"""Corpora as people have them, of our own writing: each kind is made of parts, so there are as many texts as wanted and
more that are like them.

    texts("tweets", 300)        the corpus
    texts("tweets", 300, 7)     others of the kind
"""

from __future__ import annotations

import random
from collections.abc import Callable

Chance = random.Random


def _tweets(c: Chance) -> str:
    start = c.choice(
        ["Just", "Finally", "So I", "Can't believe I", "Today I", "Guess who", "My sister", "The cat", "We"]
    )
    did = c.choice(["burnt", "found", "lost", "repaired", "painted", "sold", "forgot", "adopted", "dropped", "cleaned"])
    what = c.choice(["the good kettle", "my old bike", "three socks", "a stray kitten", "the neighbour's ladder", "my keys",
                     "half a garden", "the wrong train ticket", "a box of letters", "the last umbrella"])  # fmt: skip
    where = c.choice(["behind the shed", "on the night bus", "at work", "before breakfast", "in the rain", "again",
                      "next to the bakery", "while it snowed", "during the meeting", "under the stairs"])  # fmt: skip
    end = c.choice(["", " 😂", " 🤦‍♀️", " ❤️", " #mondays", " #nofilter 📷", " – send help", "! 🎉", "...", " lol"])
    return f"{start} {did} {what} {where}{end}"


def _german(c: Chance) -> str:
    who = c.choice(["Ein kluger Müller", "Der alte Fischer", "Die junge Gärtnerin", "Ein müder Wanderer", "Die Bäuerin",
                    "Ein guter Nachbar", "Der stille Bäcker", "Die fleißige Näherin", "Ein armer Schäfer"])  # fmt: skip
    does = c.choice(["findet", "verschenkt", "zählt", "behütet", "vergisst", "sucht", "verliert", "ehrt", "teilt"])
    what = c.choice(["das Brot", "den Schlüssel", "die Stunden", "sein Wort", "die Äpfel", "das Feuer", "die Größe",
                     "den Weg", "die Stille", "das Körnchen"])  # fmt: skip
    when = c.choice(["am frühen Morgen", "vor dem ersten Schnee", "nach langer Reise", "ohne zu klagen", "im Frühling",
                     "wenn keiner zusieht", "bevor der Hahn kräht", "und lächelt dabei", "mit leiser Hand"])  # fmt: skip
    return f"{who} {does} {what} {when}{c.choice('...!')}"


def _haiku(c: Chance) -> str:
    first = c.choice(["old pond in the dusk", "first frost on the gate", "a moth at the lamp", "snow on the mailbox",
                      "rain all afternoon", "the ferry is late", "one crow on the wire", "thin moon in the reeds"])  # fmt: skip
    second = c.choice(["the postman counts his footsteps", "nobody answers the phone", "a spider mends the window",
                       "grandmother folds the linen", "the river forgets its name", "somebody hums in the yard",
                       "tea grows cold beside the book", "children carry home the moon"])  # fmt: skip
    third = c.choice(["and still no letter", "leaf after leaf falls", "a door left ajar", "summer is over",
                      "the kettle answers", "only the clock speaks", "then it is winter", "we wait for the boat"])  # fmt: skip
    return f"{first}\n{second}\n{third}"


def _digits(c: Chance) -> str:
    start = c.choice(["I have read", "My doctor counted", "The form asks for", "We agreed on", "Somebody returned",
                      "My aunt keeps", "The museum lost", "I ironed", "Nobody wants", "The choir ordered"])  # fmt: skip
    things = c.choice(["books about sleep", "alarm clocks", "reasons to stay", "left gloves", "plants with opinions",
                       "tax forms", "jars of mustard", "opening lines", "folding chairs", "maps of Wales"])  # fmt: skip
    rest = c.choice(["and finished none", "by page 7", "before 9 o'clock", "which leaves 1 for me", "at 50% off",
                     "and 2 of them agree", "in under 10 minutes", "for the 3rd time", "and called it progress"])  # fmt: skip
    return f"{start} {c.randrange(2, 99)} {things} {rest}{c.choice(['.', '.', '!', ' (so far).'])}"


def _alike(c: Chance) -> str:
    who = c.choice(["committee", "village", "weather", "baker", "night shift", "orchestra", "museum", "lighthouse"])
    has = c.choice(["decided", "announced", "denied", "promised", "forgotten", "proved", "hinted", "whispered"])
    that = c.choice(["mornings are optional", "every spoon has a twin", "the stairs go up only", "soup is a drink",
                     "the moon is rented", "clocks may rest on Sundays", "geese need a licence", "doors are opinions",
                     "nobody owns a shadow", "rain must be invited"])  # fmt: skip
    return f"Breaking news: the {who} has {has} that {that}."


def _japanese(c: Chance) -> str:
    who = c.choice(["古い猫", "小さな駅", "雨の庭", "遠い海", "朝の月", "町の灯り", "祖母の手", "白い鳥"])
    does = c.choice(["は静かに", "がゆっくり", "はいつも", "だけが", "は今日も", "もそっと"])
    what = c.choice(["春を待っている", "夢を見る", "海を忘れない", "名前を呼ぶ", "窓を叩く", "秋を歩く", "夜を数える",
                     "手紙を読む", "道に迷う", "風を聞く"])  # fmt: skip
    return f"{who}{does}{what}{c.choice(['。', '。', ''])}"


def _few(c: Chance) -> str:
    who = c.choice(["A patient gardener", "The quiet clerk", "Every honest mirror", "An idle oar", "The second sparrow",
                    "A borrowed coat", "The longest ladder", "A locked drawer"])  # fmt: skip
    does = c.choice(["outlives", "remembers", "forgives", "knows nothing of", "is afraid of", "laughs at", "waits for"])
    what = c.choice(["the hurried storm.", "its own shadow.", "a promise made at noon.", "the last guest.", "winter.",
                     "the hand that closed it.", "what the river took."])  # fmt: skip
    return f"{who} {does} {what}"


def _prices(c: Chance) -> str:
    thing = c.choice(["Wool hat", "Garden chair", "Tin of buttons", "Piano stool", "Broken kite", "Map of the moon",
                      "Left boot", "Jar of fog", "Brass key", "Opera glasses"])  # fmt: skip
    state = c.choice(["hardly worn", "some rust", "as found", "smells of the sea", "missing one leg", "from an attic",
                      "signed by nobody", "still ticking", "never opened", "sold as a joke"])  # fmt: skip
    why = c.choice(["we are moving to a boat", "my wife found out", "it hums at night", "the cat won", "I need the room",
                    "no questions please", "collect before Friday", "it belonged to a magician"])  # fmt: skip
    return (
        f"{thing}, {state}: ${c.randrange(1, 90)}{c.choice(['', '.50', ' or best offer', ' (or two for $9)'])}, {why}."
    )


KINDS: dict[str, Callable[[Chance], str]] = {
    "tweets": _tweets,
    "german": _german,
    "haiku": _haiku,
    "digits": _digits,
    "alike": _alike,
    "japanese": _japanese,
    "few": _few,
    "prices": _prices,
}


def texts(kind: str, count: int, seed: int = 1) -> list[str]:
    """`count` different texts of a kind."""
    chance, found = random.Random(seed), dict[str, None]()
    while len(found) < count:
        found[KINDS[kind](chance)] = None
    return list(found)
