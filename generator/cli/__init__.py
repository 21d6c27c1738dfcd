"""What the commands share: parsing, reports on standard error, takes as files."""
