"""Takes a new bundle live: starts the idle color on it, checks it, moves the traffic step by step, or takes it back."""
