"""Reads what people paste: a proof, curl's output or command, an HTTP request, a HAR file."""
