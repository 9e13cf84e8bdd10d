"""The load generator `intently bench`: open and closed loop, no coordinated omission; it says when it was the limit.

Importing the package costs nothing. Running it needs the extra: pip install 'intently[bench]'.
"""
