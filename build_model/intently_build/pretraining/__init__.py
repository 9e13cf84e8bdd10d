"""A base of our own: a causal model that has read the utterances of several data sets, before it learns any labels."""
