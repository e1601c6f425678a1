"""`goedgepickt export`: writes a whole list of the API to a file. It can be stopped and resumed at any page."""
