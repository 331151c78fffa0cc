"""HTTP: parts whose port to the outside is a web server's or a web client's."""
