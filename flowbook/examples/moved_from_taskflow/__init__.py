"""A service that opens worlds of an online game, written three times.

`before` is for TaskFlow, `after` differs from it in its imports alone, `native` is the same in flowbook's own words,
and `datacentre` is what all three work on. Run as programs, they print the same report.
"""
