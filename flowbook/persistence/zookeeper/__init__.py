"""A logbook in ZooKeeper: a head znode for each key, and behind it one znode for each commit."""
