-- +goose Up
-- Every object of the API as it stands, one row each. Events and leases are not here.
CREATE TABLE objects (
    key      TEXT    NOT NULL PRIMARY KEY, -- /<resource>[.<group>]/[<namespace>/]<name>
    revision INTEGER NOT NULL,             -- of the last change: the object's resourceVersion
    encoding TEXT    NOT NULL,             -- of body: json
    body     BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

-- Revisions up to and including this one may have been shown to a client: a restart counts on from here.
CREATE TABLE revision (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    reserved INTEGER NOT NULL
) STRICT;
INSERT INTO revision (id, reserved) VALUES (1, 0);
