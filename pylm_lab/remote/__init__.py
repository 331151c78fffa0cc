"""Workers and clients that speak HTTP: behind any WSGI server, and in front of a gateway."""
