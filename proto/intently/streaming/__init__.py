"""The stream that survives its connections: what is owed to the caller (`ledger`), and the calls that carry it."""
