"""Reports of an evaluation: a page of HTML that needs nothing else, and the same figures as JSON."""
