"""Corpora as people have them, of our own writing: each kind is made of parts, so there are as many texts as wanted and
more that are like them.

    texts("tweets", 300)        the corpus
    texts("tweets", 300, 7)     others of the kind
"""

from __future__ import annotations

import random
from collections.abc import Callable

Chance = random.Random


def _one(c: Chance, parts: str) -> str:
    return c.choice(parts.split("|"))


def _tweets(c: Chance) -> str:
    start = _one(c, "Just|Finally|So I|Can't believe I|Today I|Guess who|My sister|The cat|We")
    did = _one(c, "burnt|found|lost|repaired|painted|sold|forgot|adopted|dropped|cleaned")
    what = _one(
        c,
        "the good kettle|my old bike|three socks|a stray kitten|the neighbour's ladder|"
        "my keys|half a garden|the wrong train ticket|a box of letters|the last umbrella",
    )
    where = _one(
        c,
        "behind the shed|on the night bus|at work|before breakfast|in the rain|again|"
        "next to the bakery|while it snowed|during the meeting|under the stairs",
    )
    end = _one(c, "| 😂| 🤦\u200d♀️| ❤️| #mondays| #nofilter 📷| – send help|! 🎉|...| lol")
    return f"{start} {did} {what} {where}{end}"


def _german(c: Chance) -> str:
    who = _one(
        c,
        "Ein kluger Müller|Der alte Fischer|Die junge Gärtnerin|Ein müder Wanderer|"
        "Die Bäuerin|Ein guter Nachbar|Der stille Bäcker|Die fleißige Näherin|"
        "Ein armer Schäfer",
    )
    does = _one(c, "findet|verschenkt|zählt|behütet|vergisst|sucht|verliert|ehrt|teilt")
    what = _one(
        c, "das Brot|den Schlüssel|die Stunden|sein Wort|die Äpfel|das Feuer|die Größe|den Weg|die Stille|das Körnchen"
    )
    when = _one(
        c,
        "am frühen Morgen|vor dem ersten Schnee|nach langer Reise|ohne zu klagen|im Frühling|"
        "wenn keiner zusieht|bevor der Hahn kräht|und lächelt dabei|mit leiser Hand",
    )
    return f"{who} {does} {what} {when}{c.choice('...!')}"


def _haiku(c: Chance) -> str:
    first = _one(
        c,
        "old pond in the dusk|first frost on the gate|a moth at the lamp|snow on the mailbox|"
        "rain all afternoon|the ferry is late|one crow on the wire|thin moon in the reeds",
    )
    second = _one(
        c,
        "the postman counts his footsteps|nobody answers the phone|a spider mends the window|"
        "grandmother folds the linen|the river forgets its name|somebody hums in the yard|"
        "tea grows cold beside the book|children carry home the moon",
    )
    third = _one(
        c,
        "and still no letter|leaf after leaf falls|a door left ajar|summer is over|"
        "the kettle answers|only the clock speaks|then it is winter|we wait for the boat",
    )
    return f"{first}\n{second}\n{third}"


def _digits(c: Chance) -> str:
    start = _one(
        c,
        "I have read|My doctor counted|The form asks for|We agreed on|Somebody returned|"
        "My aunt keeps|The museum lost|I ironed|Nobody wants|The choir ordered",
    )
    things = _one(
        c,
        "books about sleep|alarm clocks|reasons to stay|left gloves|plants with opinions|"
        "tax forms|jars of mustard|opening lines|folding chairs|maps of Wales",
    )
    rest = _one(
        c,
        "and finished none|by page 7|before 9 o'clock|which leaves 1 for me|at 50% off|"
        "and 2 of them agree|in under 10 minutes|for the 3rd time|and called it progress",
    )
    return f"{start} {c.randrange(2, 99)} {things} {rest}{_one(c, '.|.|!| (so far).')}"


def _alike(c: Chance) -> str:
    who = _one(c, "committee|village|weather|baker|night shift|orchestra|museum|lighthouse")
    has = _one(c, "decided|announced|denied|promised|forgotten|proved|hinted|whispered")
    that = _one(
        c,
        "mornings are optional|every spoon has a twin|the stairs go up only|soup is a drink|"
        "the moon is rented|clocks may rest on Sundays|geese need a licence|"
        "doors are opinions|nobody owns a shadow|rain must be invited",
    )
    return f"Breaking news: the {who} has {has} that {that}."


def _japanese(c: Chance) -> str:
    who = _one(c, "古い猫|小さな駅|雨の庭|遠い海|朝の月|町の灯り|祖母の手|白い鳥")
    does = _one(c, "は静かに|がゆっくり|はいつも|だけが|は今日も|もそっと")
    what = _one(
        c, "春を待っている|夢を見る|海を忘れない|名前を呼ぶ|窓を叩く|秋を歩く|夜を数える|手紙を読む|道に迷う|風を聞く"
    )
    return f"{who}{does}{what}{_one(c, '。|。|')}"


def _few(c: Chance) -> str:
    who = _one(
        c,
        "A patient gardener|The quiet clerk|Every honest mirror|An idle oar|"
        "The second sparrow|A borrowed coat|The longest ladder|A locked drawer",
    )
    does = _one(c, "outlives|remembers|forgives|knows nothing of|is afraid of|laughs at|waits for")
    what = _one(
        c,
        "the hurried storm.|its own shadow.|a promise made at noon.|the last guest.|winter.|"
        "the hand that closed it.|what the river took.",
    )
    return f"{who} {does} {what}"


def _prices(c: Chance) -> str:
    thing = _one(
        c,
        "Wool hat|Garden chair|Tin of buttons|Piano stool|Broken kite|Map of the moon|"
        "Left boot|Jar of fog|Brass key|Opera glasses",
    )
    state = _one(
        c,
        "hardly worn|some rust|as found|smells of the sea|missing one leg|from an attic|"
        "signed by nobody|still ticking|never opened|sold as a joke",
    )
    why = _one(
        c,
        "we are moving to a boat|my wife found out|it hums at night|the cat won|"
        "I need the room|no questions please|collect before Friday|it belonged to a magician",
    )
    return f"{thing}, {state}: ${c.randrange(1, 90)}{_one(c, '|.50| or best offer| (or two for $9)')}, {why}."


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
