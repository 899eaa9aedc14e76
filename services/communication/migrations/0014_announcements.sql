-- Announcements, and the audience of each, frozen when it goes out (ADR 0504).

CREATE TABLE announcement (
    school_id uuid NOT NULL,
    announcement_id uuid NOT NULL,
    author_user_id uuid NOT NULL,
    author_role text NOT NULL CHECK (author_role IN ('school_admin', 'teacher')),
    -- The record of a teacher, whose own classes limit the audience; none of a school admin.
    author_person_id uuid,
    title text NOT NULL CHECK (length(title) <= 200),
    body text NOT NULL CHECK (length(body) <= 10000),
    audience jsonb NOT NULL,
    is_urgent boolean NOT NULL,
    state text NOT NULL CHECK (state IN (
        'draft',      -- being written; → scheduled, → withdrawn
        'scheduled',  -- goes out at send_at; → sending, → draft when called back, → held, → withdrawn
        'held',       -- was due and could not go out, hold_reason says why; → scheduled, → withdrawn
        'sending',    -- the audience is frozen, its parts are being told; → sent, → withdrawn
        'sent',       -- all parts are told; → sending when an edit is to be told, → withdrawn
        'withdrawn'   -- nobody sees it any more
    )),
    hold_reason text CHECK (hold_reason IN ('nobody_to_tell', 'expired')),
    -- The wish, in the school's own time; send_at is what it comes to in the zone that the school is in.
    -- squawk-ignore prefer-timestamp-tz
    send_at_local timestamp,
    send_at timestamptz,
    pinned_until timestamptz,
    expires_at timestamptz,
    edition int NOT NULL DEFAULT 1 CHECK (edition >= 1),
    -- Of the parts that the audience is told in, the one that is next.
    next_part int NOT NULL DEFAULT 1,
    parts int NOT NULL DEFAULT 0,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    edited_at timestamptz,
    -- The login that sent it, or wished it to be sent at a time.
    sent_by uuid,
    sent_at timestamptz,
    withdrawn_at timestamptz,
    traceparent text,
    PRIMARY KEY (school_id, announcement_id),
    CHECK ((author_role = 'teacher') = (author_person_id IS NOT NULL)),
    CHECK ((state = 'held') = (hold_reason IS NOT NULL)),
    CHECK (state <> 'scheduled' OR (send_at IS NOT NULL AND sent_by IS NOT NULL)),
    CHECK ((state IN ('sending', 'sent')) <= (sent_at IS NOT NULL)),
    CHECK ((state = 'withdrawn') = (withdrawn_at IS NOT NULL))
);

CREATE INDEX announcement_author ON announcement (school_id, author_user_id, author_role, announcement_id);

-- One person of a frozen audience. `student_ids` are the children that a guardian hears of it for.
CREATE TABLE announcement_recipient (
    school_id uuid NOT NULL,
    announcement_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    role text NOT NULL CHECK (role IN ('school_admin', 'teacher', 'guardian', 'student')),
    student_ids uuid [] NOT NULL,
    part int NOT NULL,
    -- Of the announcement: the order of a reader's list.
    sent_at timestamptz NOT NULL,
    -- The latest edition that stands in the inbox, and the latest that was read; with the instant of each.
    delivered_edition int NOT NULL DEFAULT 0,
    delivered_at timestamptz,
    read_edition int NOT NULL DEFAULT 0,
    read_at timestamptz,
    PRIMARY KEY (school_id, announcement_id, recipient_id),
    FOREIGN KEY (school_id, announcement_id) REFERENCES announcement (school_id, announcement_id)
);

CREATE INDEX announcement_recipient_part ON announcement_recipient (school_id, announcement_id, part, recipient_id);
CREATE INDEX announcement_recipient_list ON announcement_recipient (school_id, recipient_id, sent_at, announcement_id);

ALTER TABLE announcement ENABLE ROW LEVEL SECURITY;
ALTER TABLE announcement FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON announcement
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE ON announcement TO communication_app;

ALTER TABLE announcement_recipient ENABLE ROW LEVEL SECURITY;
ALTER TABLE announcement_recipient FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON announcement_recipient
USING (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid))
WITH CHECK (school_id = (SELECT nullif(current_setting('app.school_id', true), '')::uuid));
-- Who the audience is, is never changed.
GRANT SELECT, INSERT, UPDATE (delivered_edition, delivered_at, read_edition, read_at)
ON announcement_recipient TO communication_app;

-- What waits to go out, or is on its way, at any school: ids only and without row-level security (ADR 0803).
CREATE TABLE announcement_due (
    school_id uuid NOT NULL,
    announcement_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (school_id, announcement_id)
);

CREATE INDEX announcement_due_at ON announcement_due (due_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON announcement_due TO communication_app;
