-- +goose Up

-- Requests that were sent with an idempotency key, and their answers, for a day of product time.
CREATE TABLE request (
  user TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  digest TEXT NOT NULL, -- SHA-256 of method, address and body
  at_ms INTEGER NOT NULL,
  status INTEGER NOT NULL, -- of the answer; 0: it has not been given
  kept INTEGER NOT NULL CHECK (kept IN (0, 1)), -- 0: the answer held a secret and is not kept
  header TEXT NOT NULL, -- JSON object: those of the answer that count
  body BLOB NOT NULL,
  PRIMARY KEY (user, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_at ON request (at_ms);
