"""`goedgepickt plan` and `goedgepickt apply`: files of desired rows, and only the writes that they need."""
