"""What the system says about itself: health, status, metrics."""
