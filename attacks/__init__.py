"""Attacks on the whole running system, each for a bounded time, beside an honest user who places orders.

`make attack`; what each does is in `attacks.kinds`. Everything listens and talks on loopback only.
"""
