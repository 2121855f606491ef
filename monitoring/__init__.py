"""How the system is: health, status, metrics and the pages that show them."""
