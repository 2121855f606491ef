"""What people are told: live, by e-mail."""
