"""Settings derived, not guessed: measures servers on the machine at hand, and writes a profile for them."""
