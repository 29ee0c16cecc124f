-- The list of files that all machines share. Version 1, with the other tables.

-- Numbers of workers, and of leases.
CREATE SEQUENCE earmark.leases;

CREATE TABLE earmark.files (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 16),
    name text NOT NULL CHECK (octet_length(name) <= 1048576),
    path bytea CHECK (octet_length(path) <= 1048576),
    bytes bigint NOT NULL,
    modified_ns bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'leased', 'done', 'failed')),
    due timestamptz CHECK (isfinite(due)),
    tries integer NOT NULL DEFAULT 0,
    worker bigint,
    lease bigint,
    ended_at timestamptz,
    failure text CHECK (octet_length(failure) <= 100),
    reason text CHECK (octet_length(reason) <= 10000),
    CHECK ((due IS NOT NULL) = (state IN ('waiting', 'leased')))
);
CREATE INDEX files_due ON earmark.files (due) WHERE due IS NOT NULL;
CREATE INDEX files_worker ON earmark.files (worker) WHERE state = 'leased';
CREATE INDEX files_failed ON earmark.files (hash) WHERE state = 'failed';
