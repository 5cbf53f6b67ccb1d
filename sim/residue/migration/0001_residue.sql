-- +goose Up

-- Everything that was ever seen, without any content: what there is, whose it is, since when, made by what.
CREATE TABLE thing (
  side TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  id TEXT NOT NULL,
  environment TEXT NOT NULL,
  dpe TEXT NOT NULL,
  namespace TEXT NOT NULL,
  created_ms INTEGER NOT NULL, -- 0: unknown
  made_by TEXT NOT NULL,
  gone_ms INTEGER NOT NULL DEFAULT 0, -- 0: it is there
  UNIQUE (side, kind, name, id, environment)
) STRICT;
CREATE INDEX thing_gone ON thing (gone_ms);
