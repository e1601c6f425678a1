"""`goedgepickt doctor`: is the key good, for what, and how much may still be asked."""
