"""`goedgepickt export`: a whole list of the API into a file, stoppable and resumable at any page."""
