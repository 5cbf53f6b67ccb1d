-- +goose Up
CREATE TABLE buckets (
  name       TEXT    NOT NULL PRIMARY KEY,
  created_ms INTEGER NOT NULL
) STRICT;

-- One row is one object that was acknowledged. blob names its file in the blob folder.
CREATE TABLE objects (
  bucket       TEXT    NOT NULL REFERENCES buckets (name),
  key          TEXT    NOT NULL,
  size_bytes   INTEGER NOT NULL,
  etag         TEXT    NOT NULL, -- without quotes: hex MD5, or hex MD5 of the parts' MD5s with "-<parts>"
  sha256       TEXT    NOT NULL, -- hex
  content_type TEXT    NOT NULL,
  metadata     TEXT    NOT NULL, -- JSON object: canonical header name -> value
  modified_ms  INTEGER NOT NULL,
  blob         TEXT    NOT NULL UNIQUE,
  PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE uploads (
  id           TEXT    NOT NULL PRIMARY KEY,
  bucket       TEXT    NOT NULL REFERENCES buckets (name),
  key          TEXT    NOT NULL,
  content_type TEXT    NOT NULL,
  metadata     TEXT    NOT NULL,
  initiated_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX uploads_by_key ON uploads (bucket, key, initiated_ms, id);

CREATE TABLE parts (
  upload      TEXT    NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
  number      INTEGER NOT NULL,
  size_bytes  INTEGER NOT NULL,
  md5         TEXT    NOT NULL, -- hex
  modified_ms INTEGER NOT NULL,
  blob        TEXT    NOT NULL UNIQUE,
  PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

-- SigV4 is a shared-secret scheme: the server needs the secret itself, not a hash of it.
CREATE TABLE credentials (
  access_key TEXT    NOT NULL PRIMARY KEY,
  secret_key TEXT    NOT NULL,
  label      TEXT    NOT NULL, -- of the DPE it was made for; empty: an operator's
  read_only  INTEGER NOT NULL
) STRICT;
