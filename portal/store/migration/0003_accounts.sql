-- +goose Up

-- What is wanted is counted apart from organisations: there are several of them now.
CREATE TABLE counter (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  generation INTEGER NOT NULL -- counts changes of what is wanted, over all environments
) STRICT;
INSERT INTO counter VALUES (1, COALESCE((SELECT generation FROM organisation), 0));

CREATE TABLE organisation_next (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  engines_per_environment INTEGER NOT NULL CHECK (engines_per_environment >= 0),   -- contract
  replicas_per_environment INTEGER NOT NULL CHECK (replicas_per_environment >= 0), -- licence
  licence_expires_ms INTEGER NOT NULL
) STRICT;
INSERT INTO organisation_next
  SELECT 'acme', name, engines_per_environment, replicas_per_environment, licence_expires_ms FROM organisation;
DROP TABLE organisation;
ALTER TABLE organisation_next RENAME TO organisation;

-- Environments of before belong to the one organisation that there was, and have its agreements.
ALTER TABLE environment ADD COLUMN organisation TEXT NOT NULL DEFAULT 'acme';
ALTER TABLE environment ADD COLUMN owner TEXT NOT NULL DEFAULT 'ada'; -- user
ALTER TABLE environment ADD COLUMN offering TEXT NOT NULL DEFAULT 'enterprise';
ALTER TABLE environment ADD COLUMN engines_allowed INTEGER NOT NULL DEFAULT 5;    -- contract
ALTER TABLE environment ADD COLUMN replicas_allowed INTEGER NOT NULL DEFAULT 10;  -- licence
CREATE INDEX environment_organisation ON environment (organisation);

CREATE TABLE user (
  id TEXT PRIMARY KEY,
  organisation TEXT NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('admin', 'owner', 'member')),
  trainer INTEGER NOT NULL CHECK (trainer IN (0, 1)), -- runs the simulator
  demo INTEGER NOT NULL CHECK (demo IN (0, 1)),       -- may be picked without a password
  password TEXT NOT NULL, -- bcrypt
  created_ms INTEGER NOT NULL
) STRICT;

-- A browser that is signed in. Times are the machine's: a session is no part of the product that is rehearsed.
CREATE TABLE session (
  digest TEXT PRIMARY KEY, -- SHA-256 of what the cookie holds
  user TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  seen_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE token (
  id TEXT PRIMARY KEY,
  user TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  digest TEXT NOT NULL UNIQUE, -- SHA-256 of the token
  scopes TEXT NOT NULL, -- JSON
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT;

-- Every change, and every look at a secret.
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  organisation TEXT NOT NULL, -- whose it is: the environment's, or the user's
  user TEXT NOT NULL,
  via TEXT NOT NULL,  -- "session", "token NAME", "command line"
  source TEXT NOT NULL, -- address that the request came from
  request TEXT NOT NULL,
  action TEXT NOT NULL,
  environment TEXT NOT NULL, -- empty: none
  dpe TEXT NOT NULL,         -- empty: none
  detail TEXT NOT NULL       -- JSON object
) STRICT;
CREATE INDEX audit_organisation ON audit (organisation, seq);
