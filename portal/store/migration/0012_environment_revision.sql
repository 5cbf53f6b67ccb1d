-- +goose Up

-- The seq of the audit log's entry that tells of the last change of an environment: for If-Match, and to tell who changed what.
ALTER TABLE environment ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
UPDATE environment SET revision = COALESCE((SELECT MAX(seq) FROM audit WHERE audit.environment = environment.id), 1);
