"""`make cluster`: three nodes on one machine, of which any one may die. docs/cluster.md has the picture."""
