"""A made-up dataset behind a small CKAN of our own, to try the whole walk on one machine."""
