-- +goose Up

-- Whether the contract allows DPEs a sizing other than the tier's, and what a revision has in its place.
ALTER TABLE environment ADD COLUMN exceptional_sizing INTEGER NOT NULL DEFAULT 0 CHECK (exceptional_sizing IN (0, 1));
ALTER TABLE revision ADD COLUMN sizing TEXT NOT NULL DEFAULT '{}'; -- JSON: the figures that are not the tier's
