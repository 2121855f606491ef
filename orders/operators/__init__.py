"""What operators see and do: the desk, explanations, stuck orders, money at risk."""
