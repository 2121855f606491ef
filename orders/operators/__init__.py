"""Operators' tools: order actions, explanations, stuck orders, money at risk."""
