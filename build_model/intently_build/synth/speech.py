"""Made-up requests in common English words: what a synthetic tokenizer is trained on, prompts and rows are made of."""

import random

_WORDS = """
a about account add after again alarm all an and any anything are at available back balance be been before book borrow
buy by call can cancel card change charge check cost could coffee day declined deliver did do does dollars done door
eggs eight evening every far find flight food for forget forty friday from get give go good grammar have hear hello
help here high home hotel hour how i if in is it joke just know language last late leave left less let light like list
lost lights low make many may me meeting message minute minutes money month more morning move much music my need new
next nine night no noon not now number of off office old on one open order other our out outside over paid pay people
phone place play please point price put rain remind reserve right ride room safe say see send set seven shopping short
show sing six some something soon speak start stop store street table take talk tell ten than thank that the their
them then there these thing this three ticket time timer to today tomorrow tonight too traffic train transfer travel
turn twelve two under until up use wake want was water way we weather week what when where which who why will with
word work would write year yes yesterday you your
"""


def words() -> list[str]:
    """Returns the words, in the order of the alphabet."""
    return sorted(set(_WORDS.split()))


def requests(seed: int, count: int) -> list[str]:
    """Returns so many different requests of six to twelve words; the same ones for the same seed."""
    chosen, vocabulary = random.Random(seed), words()
    made: dict[str, None] = {}
    while len(made) < count:
        made[" ".join(chosen.choices(vocabulary, k=chosen.randint(6, 12)))] = None
    return list(made)
