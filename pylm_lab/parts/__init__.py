"""The parts of a server: the router, its network cards, and the template that joins them."""
