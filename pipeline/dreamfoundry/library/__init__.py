"""What a person opens after a run: the web page of a library and the report of the run."""
