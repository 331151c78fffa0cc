"""What no run should do, and how it is found."""
