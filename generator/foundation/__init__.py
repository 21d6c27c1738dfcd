"""What everything else stands on: errors, files, locks, options, compiled loops."""
