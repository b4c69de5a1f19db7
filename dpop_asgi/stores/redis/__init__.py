"""Redis 7.0 or newer, or Valkey: a single server, one behind Sentinel, or a cluster."""
