"""The outside world in one small process: a payment provider, a warehouse and an e-mail provider.

It imports nothing of ours and keeps its own book, so that it can bear witness against us. Start it with
``python -m sandbox``; ``GET /`` lists what it answers to.
"""
