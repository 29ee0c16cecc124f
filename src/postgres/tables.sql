-- Version 1 of the tables. FORMAT.md says what is in them.

CREATE SCHEMA IF NOT EXISTS earmark;

CREATE TABLE earmark.collection (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    config_id bigint NOT NULL,
    config bytea NOT NULL,
    calibration bytea NOT NULL DEFAULT ''
);

-- Ids are 32 bits.
CREATE SEQUENCE earmark.track_ids MINVALUE 0 START 0 MAXVALUE 4294967293;
CREATE SEQUENCE earmark.batch_ids AS integer;

CREATE TABLE earmark.batches (
    id integer PRIMARY KEY,
    state smallint NOT NULL,
    first_track bigint NOT NULL,
    tracks bigint NOT NULL,
    blocks bigint NOT NULL,
    frames bigint NOT NULL,
    duration_s double precision NOT NULL,
    slot_shift smallint NOT NULL,
    hashes bigint NOT NULL,
    postings bigint NOT NULL,
    merged_into integer,
    touched timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE earmark.tracks (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    title text,
    artist text,
    album text,
    track_number bigint,
    isrc text,
    musicbrainz_id text,
    duration_s double precision NOT NULL,
    frames bigint NOT NULL,
    sub_fingerprints bigint NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz
);
CREATE INDEX tracks_removed ON earmark.tracks (id) WHERE removed_at IS NOT NULL;

-- Names may be longer than an index takes.
CREATE TABLE earmark.names (
    hash bytea PRIMARY KEY,
    track bigint NOT NULL
);

CREATE TABLE earmark.places (
    batch integer NOT NULL,
    bucket bigint NOT NULL,
    first_block bigint NOT NULL,
    blocks bigint NOT NULL,
    track bigint NOT NULL,
    PRIMARY KEY (batch, bucket, track)
);
CREATE INDEX places_track ON earmark.places (track);

CREATE TABLE earmark.features (
    track bigint NOT NULL,
    part integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (track, part)
);
-- They do not compress.
ALTER TABLE earmark.features ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE earmark.postings (
    batch integer NOT NULL,
    slot integer NOT NULL,
    lists bytea NOT NULL,
    PRIMARY KEY (batch, slot)
);
ALTER TABLE earmark.postings ALTER COLUMN lists SET STORAGE EXTERNAL;
