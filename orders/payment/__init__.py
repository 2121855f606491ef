"""The payment leg over the network."""
