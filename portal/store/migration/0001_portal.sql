-- +goose Up

-- The organisation: one row, written at the first start.
CREATE TABLE organisation (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  name TEXT NOT NULL,
  engines_per_environment INTEGER NOT NULL CHECK (engines_per_environment >= 0),   -- contract
  replicas_per_environment INTEGER NOT NULL CHECK (replicas_per_environment >= 0), -- licence
  licence_expires_ms INTEGER NOT NULL,
  generation INTEGER NOT NULL -- counts changes of what is wanted, over all environments
) STRICT;

CREATE TABLE environment (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  cloud TEXT NOT NULL,
  region TEXT NOT NULL,
  release TEXT NOT NULL,
  tier TEXT NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('creating', 'ready', 'deleting')),
  created_ms INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  access_key TEXT NOT NULL, -- the operator's, for object storage
  secret_key TEXT NOT NULL
) STRICT;

-- A self-managed DPE. A removed one stays until its credentials are withdrawn, without its secrets.
CREATE TABLE dpe (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  environment TEXT NOT NULL REFERENCES environment (id) ON DELETE CASCADE,
  label TEXT NOT NULL,
  name TEXT NOT NULL,
  revision INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  removed_ms INTEGER NOT NULL DEFAULT 0, -- 0: it is there
  key TEXT NOT NULL,
  key_id TEXT NOT NULL UNIQUE,
  access_key TEXT NOT NULL UNIQUE,
  secret_key TEXT NOT NULL,
  registry_user TEXT NOT NULL,
  registry_token TEXT NOT NULL,
  seen_revision INTEGER NOT NULL DEFAULT 0, -- of what ran last; 0: never connected
  seen_releases TEXT NOT NULL DEFAULT '[]',
  disconnected_ms INTEGER NOT NULL DEFAULT 0 -- 0: connected, or never was
) STRICT;
CREATE UNIQUE INDEX dpe_label ON dpe (environment, label) WHERE removed_ms = 0;
CREATE INDEX dpe_environment ON dpe (environment);

-- What each revision of a DPE's generated files was made of.
CREATE TABLE revision (
  dpe INTEGER NOT NULL REFERENCES dpe (id) ON DELETE CASCADE,
  number INTEGER NOT NULL CHECK (number >= 1),
  release TEXT NOT NULL,
  drivers TEXT NOT NULL, -- JSON
  replicas INTEGER NOT NULL CHECK (replicas >= 1),
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (dpe, number)
) STRICT;
