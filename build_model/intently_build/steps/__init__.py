"""Steps that can be run again: each leaves its whole result in place, or nothing, and says what it proved."""
