-- +goose Up

-- What an environment was allowed, what was specified and what was connected, each time that one of them changed.
CREATE TABLE compliance (
  environment TEXT NOT NULL REFERENCES environment (id) ON DELETE CASCADE,
  at_ms INTEGER NOT NULL,
  licensed INTEGER NOT NULL,
  self_managed INTEGER NOT NULL,
  managed INTEGER NOT NULL,
  connected INTEGER NOT NULL,
  PRIMARY KEY (environment, at_ms)
) STRICT;
