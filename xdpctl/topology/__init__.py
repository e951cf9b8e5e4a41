"""What the user wrote: files, models, ranges, cross-checks and the JSON Schema."""
