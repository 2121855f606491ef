"""The journal for other systems, as a stream in NATS JetStream; and what nodes tell each other by NATS."""
