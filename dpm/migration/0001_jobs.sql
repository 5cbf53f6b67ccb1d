-- +goose Up

-- Authorized Components: whose tokens are accepted.
CREATE TABLE components (
  key_id        TEXT PRIMARY KEY,   -- RFC 7638 thumbprint
  label         TEXT NOT NULL,
  public_jwk    TEXT NOT NULL,
  authorized_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys that were withdrawn, so that their owners can be told what happened. A key never comes back from here.
CREATE TABLE revoked_keys (
  key_id     TEXT PRIMARY KEY,
  label      TEXT NOT NULL,         -- '' if the key was never authorised
  revoked_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
  seq               INTEGER PRIMARY KEY, -- order of acceptance
  id                TEXT NOT NULL UNIQUE,
  type              TEXT NOT NULL,
  source_bucket     TEXT NOT NULL,
  source_key        TEXT NOT NULL,
  pin               TEXT NOT NULL,       -- label of the DPE that must run it; '': any
  max_records       INTEGER NOT NULL,    -- 0: all
  state             TEXT NOT NULL,
  attempt           INTEGER NOT NULL,    -- of the last command; 0 before the first
  reason            TEXT NOT NULL,       -- why it failed
  result_bucket     TEXT NOT NULL,
  result_key        TEXT NOT NULL,       -- '': no result
  result_sha256     TEXT NOT NULL,
  result_size_bytes INTEGER NOT NULL,
  summary           TEXT NOT NULL,       -- JSON or ''
  submitted_ms      INTEGER NOT NULL,
  ended_ms          INTEGER NOT NULL     -- 0: not yet
) STRICT;

CREATE INDEX jobs_open ON jobs (seq) WHERE state NOT IN ('SUCCESS', 'FAILURE', 'KILLED');

CREATE TABLE attempts (
  job_seq       INTEGER NOT NULL REFERENCES jobs (seq),
  attempt       INTEGER NOT NULL,
  label         TEXT NOT NULL,
  replica       TEXT NOT NULL,
  outcome       TEXT NOT NULL,      -- '' while the lease holds, then succeeded, failed, lost
  error         TEXT NOT NULL,
  dispatched_ms INTEGER NOT NULL,
  started_ms    INTEGER NOT NULL,   -- 0: the engine did not say that it began
  ended_ms      INTEGER NOT NULL,   -- 0: not yet
  PRIMARY KEY (job_seq, attempt)
) STRICT, WITHOUT ROWID;
