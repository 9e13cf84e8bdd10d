"""Runs releases on Envoy. So far an empty room: the import name and its layer are fixed, the release commands follow."""
