"""How a trace and what it tells show themselves as text and HTML."""
