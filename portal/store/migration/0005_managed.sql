-- +goose Up

-- Ataccama-managed DPEs: how many replicas, and what they are authorised with from the first time on.
ALTER TABLE environment ADD COLUMN managed_replicas INTEGER NOT NULL DEFAULT 0 CHECK (managed_replicas >= 0);
ALTER TABLE environment ADD COLUMN managed_key TEXT NOT NULL DEFAULT '';
ALTER TABLE environment ADD COLUMN managed_key_id TEXT NOT NULL DEFAULT '';
ALTER TABLE environment ADD COLUMN managed_access_key TEXT NOT NULL DEFAULT '';
ALTER TABLE environment ADD COLUMN managed_secret_key TEXT NOT NULL DEFAULT '';
