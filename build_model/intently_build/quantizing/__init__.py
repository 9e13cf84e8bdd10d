"""Quantizing: from a checkpoint in bfloat16 to one whose decoder weighs less, checked before and after."""
