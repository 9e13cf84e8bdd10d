"""Clients that mean harm, and what to look at after them."""
