"""What a run left: marks, traces, readings, records, the journal."""
