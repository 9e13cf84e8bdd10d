"""A large model with random weights, taken from base and adapter to what a server loads, each step timed."""
