"""Recording: tapes that are written while a run goes on, and the trace that is made of them."""
