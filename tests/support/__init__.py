"""What the tests share: a real server on real sockets, an engine in memory, bundles to damage, processes to watch."""
