-- Version 1 of the tables. FORMAT.md says what is in them.

CREATE SCHEMA IF NOT EXISTS earmark;

CREATE TABLE earmark.collection (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    config_id bigint NOT NULL,
    config bytea NOT NULL,
    calibration bytea,
    -- Raised with each new calibration; 0 where there never was one.
    calibration_number bigint NOT NULL DEFAULT 0
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
ALTER TABLE earmark.features SET (toast_tuple_target = 8160);

CREATE TABLE earmark.postings (
    batch integer NOT NULL,
    slot integer NOT NULL,
    lists bytea NOT NULL,
    PRIMARY KEY (batch, slot)
);
ALTER TABLE earmark.postings ALTER COLUMN lists SET STORAGE EXTERNAL;
ALTER TABLE earmark.postings SET (toast_tuple_target = 8160);

-- Functions, so that a statement is planned once for each connection, in the one way that is right: by
-- looking each key up, without a compiler, whatever the tables' statistics are.

-- A text that is no longer than one can be.
CREATE FUNCTION earmark.checked(written text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN octet_length(written) <= 1048576 THEN written END;

-- What a search asks first. Rows of kind 0 are the batches that count, in the order of the line; of kind
-- 1 the places of removed tracks in them; of kind 2 the places of the tracks asked for; the one of kind 3
-- has the slots of the keys asked for, the one of kind 4 the number of the calibration.
CREATE FUNCTION earmark.open(keys integer[], wanted bigint[])
RETURNS TABLE (
    kind integer, batch integer, a bigint, b bigint, c bigint, d bigint,
    batches integer[], slots integer[], lists bytea[]
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 0, l.id, l.tracks, l.blocks, l.frames, l.slot_shift::bigint,
        NULL::integer[], NULL::integer[], NULL::bytea[]
    FROM earmark.batches l WHERE l.state = 1 ORDER BY l.first_track, l.id;
    RETURN QUERY
    SELECT 1, p.batch, p.first_block, p.blocks, t.frames, NULL::bigint,
        NULL::integer[], NULL::integer[], NULL::bytea[]
    FROM earmark.tracks t
    JOIN earmark.places p ON p.track = t.id AND p.bucket = p.first_block >> 8
    JOIN earmark.batches l ON l.id = p.batch AND l.state = 1
    WHERE t.removed_at IS NOT NULL;
    RETURN QUERY
    SELECT 4, NULL::integer, c.calibration_number, NULL::bigint, NULL::bigint, NULL::bigint,
        NULL::integer[], NULL::integer[], NULL::bytea[]
    FROM earmark.collection c;
    IF cardinality(wanted) > 0 THEN
        RETURN QUERY
        SELECT 2, p.batch, p.track, p.first_block, p.blocks, NULL::bigint,
            NULL::integer[], NULL::integer[], NULL::bytea[]
        FROM (SELECT DISTINCT w.track FROM unnest(wanted) w (track)) w
        JOIN earmark.tracks t ON t.id = w.track AND t.removed_at IS NULL
        JOIN earmark.places p ON p.track = t.id AND p.bucket = p.first_block >> 8
        JOIN earmark.batches l ON l.id = p.batch AND l.state = 1;
    END IF;
    IF cardinality(keys) > 0 THEN
        RETURN QUERY
        SELECT 3, NULL::integer, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint,
            array_agg(p.batch), array_agg(p.slot), array_agg(p.lists)
        FROM (
            SELECT DISTINCT l.id AS batch, k.key >> l.slot_shift AS slot
            FROM unnest(keys) k (key) CROSS JOIN earmark.batches l WHERE l.state = 1
        ) s
        JOIN earmark.postings p ON p.batch = s.batch AND p.slot = s.slot;
    END IF;
END $$;

-- Some slots, and how many of the batches of a snapshot are there still.
CREATE FUNCTION earmark.look_up(snapshot integer[], in_batches integer[], in_slots integer[])
RETURNS TABLE (present bigint, numbers integer[], lists bytea[])
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT (SELECT count(*) FROM earmark.batches l WHERE l.id = ANY (snapshot) AND l.state IN (1, 2)),
        array_agg(s.number::integer), array_agg(p.lists)
    FROM unnest(in_batches, in_slots) WITH ORDINALITY s (batch, slot, number)
    JOIN earmark.postings p ON p.batch = s.batch AND p.slot = s.slot;
END $$;

-- What lies in some stretches of batches: a row for each track that has a part of one. The first row says
-- how many of the batches of a snapshot are there still.
CREATE FUNCTION earmark.excerpts(
    snapshot integer[], in_batches integer[], firsts bigint[], ends bigint[]
)
RETURNS TABLE (
    number bigint, track bigint, first_block bigint, blocks bigint, frames bigint,
    sub_fingerprints bigint, duration_s double precision, name text, title text, artist text,
    album text, track_number bigint, isrc text, musicbrainz_id text, features bytea
)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET jit = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT count(*), NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint, NULL::bigint,
        NULL::double precision, NULL::text, NULL::text, NULL::text, NULL::text, NULL::bigint,
        NULL::text, NULL::text, NULL::bytea
    FROM earmark.batches l WHERE l.id = ANY (snapshot) AND l.state IN (1, 2);
    RETURN QUERY
    SELECT w.number, t.id, p.first_block, p.blocks, t.frames, t.sub_fingerprints, t.duration_s,
        earmark.checked(t.name), earmark.checked(t.title), earmark.checked(t.artist),
        earmark.checked(t.album), t.track_number, earmark.checked(t.isrc),
        earmark.checked(t.musicbrainz_id),
        (
            SELECT string_agg(f.bytes, ''::bytea ORDER BY f.part)
            FROM earmark.features f
            WHERE f.track = p.track AND octet_length(f.bytes) <= 262148
                AND f.part >= (greatest(w.first, p.first_block) - p.first_block) / 4
                AND f.part <= (least(w.ending, p.first_block + p.blocks) - 1 - p.first_block) / 4
        )
    FROM unnest(in_batches, firsts, ends) WITH ORDINALITY w (batch, first, ending, number)
    JOIN earmark.places p ON p.batch = w.batch
        AND p.bucket >= w.first >> 8 AND p.bucket <= (w.ending - 1) >> 8
        -- A track has a place for each bucket: the first under the stretch.
        AND p.bucket = greatest(w.first, p.first_block) >> 8
        AND p.first_block < w.ending AND p.first_block + p.blocks > w.first
    JOIN earmark.tracks t ON t.id = p.track;
END $$;
