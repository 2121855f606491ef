"""Where the shop delivers to, and what that costs."""
