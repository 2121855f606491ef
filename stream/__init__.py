"""The journal as a NATS JetStream stream, and messages between nodes over NATS."""
