"""The logbook as plain files in a directory: a folder for each run, in it one journal for each epoch."""
