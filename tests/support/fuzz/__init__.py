"""Cases that Hypothesis makes to find what a server does not bear, and what sends and judges them."""
