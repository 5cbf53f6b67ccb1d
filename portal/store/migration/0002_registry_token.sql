-- +goose Up

-- When the registry's access token ends. 0: never; that is what tokens were before, until they are rotated.
ALTER TABLE dpe ADD COLUMN registry_expires_ms INTEGER NOT NULL DEFAULT 0;
