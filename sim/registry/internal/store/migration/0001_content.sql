-- +goose Up

-- Which repository holds which blob. The bytes are a file named by the digest, shared by all repositories.
CREATE TABLE blob (
  repository TEXT NOT NULL,
  digest TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  PRIMARY KEY (repository, digest)
) STRICT;
CREATE INDEX blob_digest ON blob (digest);

CREATE TABLE manifest (
  repository TEXT NOT NULL,
  digest TEXT NOT NULL,
  media_type TEXT NOT NULL,
  subject TEXT NOT NULL, -- digest of the manifest that it is about; empty: none
  content BLOB NOT NULL,
  PRIMARY KEY (repository, digest)
) STRICT;
CREATE INDEX manifest_subject ON manifest (repository, subject);

CREATE TABLE tag (
  repository TEXT NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (repository, name),
  FOREIGN KEY (repository, digest) REFERENCES manifest (repository, digest) ON DELETE CASCADE
) STRICT;
CREATE INDEX tag_digest ON tag (repository, digest);
