-- +goose Up

-- Which source addresses may reach an environment.
ALTER TABLE environment ADD COLUMN allowlist_on INTEGER NOT NULL DEFAULT 0; -- 0: everybody may
ALTER TABLE environment ADD COLUMN allowlist TEXT NOT NULL DEFAULT '[]';    -- JSON: ranges with notes
ALTER TABLE environment ADD COLUMN allowlist_version INTEGER NOT NULL DEFAULT 1;
