"""The attacks; importing this enters them all."""

from attacks.kinds import clocks, dictionary, drips, floods, goods, mails, memory, pickles, providers

__all__ = ["clocks", "dictionary", "drips", "floods", "goods", "mails", "memory", "pickles", "providers"]
