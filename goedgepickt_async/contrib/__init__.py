"""Bridges to other tools; each is an extra, and imported only when it is used."""
