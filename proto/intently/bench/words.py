"""What is said where its length matters: made of common words, which most tokenizers take for one token each."""

import random

_MADE = 2000
_WORDS = """
about after again all also an and any are as ask at back be because before both but by call can card change
check city close cold could day did do does down each end even every few find first five for four from full
get give go good had hand has have help her here high him his home hour how if in into is it its just keep
know last late left let like line list little long look made make many may me mean money month more most move
much music must my name need never new next night no not now number of off old on once one only open or other
our out over own part pay phone place play please point put read right room same say see send set she should
show side small so some start state still such take tell ten than that the their them then there these they
thing think this those three time to today too travel try turn two under until up us use very wait want was
water way we week well went were what when where which while who why will with word work would year yes you
your
"""


def made_of_words(seed: int, least: int, most: int, count: int = _MADE) -> tuple[str, ...]:
    """Utterances of `least` to `most` words, every length as often; the same for the same seed.

    They make no sense: for speed, only the length counts. What came before never comes again, but by chance.
    """
    chosen, words = random.Random(seed), _WORDS.split()
    return tuple(" ".join(chosen.choices(words, k=chosen.randint(least, most))) for _ in range(count))
