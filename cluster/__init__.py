"""`make cluster`: three nodes on one machine, any of which may fail: see docs/cluster.md."""
