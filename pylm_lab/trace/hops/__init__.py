"""From events to hops: what is at one link, which receive belongs to which send, in what order."""
