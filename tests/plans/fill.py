"""200 schools with 100,000 students, straight into the tables: what a service's reactions would have left there.

Ids are made from a kind, the number of the school and the number of the record, so that a test can name them.
"""

from datetime import date
from typing import Final, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from tests.plans.fill_today import TODAY
from tools.topology import SERVICE_NAMES

SCHOOLS: Final = 200
STUDENTS: Final = 500
TEACHERS: Final = 30
CLASSES: Final = 40
PER_CLASS: Final = 25
DAYS: Final = 5
NOTIFICATIONS: Final = 3
"""For each guardian."""

ANNOUNCEMENTS: Final = 4
FILES: Final = 50

OURS: Final = 100
"""The school that asks; there are as many before as after it."""
EVENTS: Final = 20_000
"""That each service has told, and as many that it has heard; the relay has some of them before it."""

SCHOOL, STUDENT, TEACHER, GUARDIAN, CLASS, LESSON, LINK, USER, ENROLMENT, OTHER = range(1, 11)

MAKE_ID: LiteralString = """
CREATE FUNCTION public.an_id(kind int, school int, number bigint) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
SELECT (lpad(to_hex(kind), 8, '0') || '-' || lpad(to_hex(school), 4, '0') || '-7000-8000-'
        || lpad(to_hex(number), 12, '0'))::uuid
$$
"""


def an_id(kind: int, school: int, number: int) -> UUID:
    """The same as the function in the database."""
    return UUID(f"{kind:08x}-{school:04x}-7000-8000-{number:012x}")


def school_id(school: int) -> UUID:
    return an_id(SCHOOL, school, 0)


# Each is run once for all schools; `s` is the number of the school, `n` that of the record.
ACADEMIC: Final[tuple[LiteralString, ...]] = (
    """INSERT INTO academic.school (school_id, name, time_zone, version)
    SELECT public.an_id(1, s, 0), 'School ' || s, 'UTC', 1 FROM generate_series(1, %(schools)s) s""",
    """INSERT INTO academic.student (school_id, id, given_name, family_name, grade, email)
    SELECT public.an_id(1, s, 0), public.an_id(2, s, n), 'Given ' || n, 'Family ' || n %% 97, (n %% 6)::text,
           'student' || n || '@s' || s || '.test'
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO academic.teacher (school_id, id, given_name, family_name, email)
    SELECT public.an_id(1, s, 0), public.an_id(3, s, n), 'Given ' || n, 'Family ' || n, 't' || n || '@s' || s || '.test'
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(teachers)s) n""",
    """INSERT INTO academic.guardian (school_id, id, given_name, family_name, email)
    SELECT public.an_id(1, s, 0), public.an_id(4, s, n), 'Given ' || n, 'Family ' || n %% 97,
           'guardian' || n || '@s' || s || '.test'
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO academic.guardian_link (
        school_id, id, guardian_id, student_id, relation, may_see, receives_alerts, priority)
    SELECT public.an_id(1, s, 0), public.an_id(7, s, n), public.an_id(4, s, n), public.an_id(2, s, n),
           'mother', true, true, 1
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO academic.attendance_code (school_id, code, title, kind, is_alerting)
    SELECT public.an_id(1, s, 0), code, code, kind, kind = 'absent'
    FROM generate_series(1, %(schools)s) s, (VALUES ('P', 'present'), ('A', 'absent')) AS codes (code, kind)""",
    """INSERT INTO academic.school_class (school_id, id, title, periods, grades)
    SELECT public.an_id(1, s, 0), public.an_id(5, s, n), 'Class ' || n, '{1}', ARRAY[(11 + n %% 2)::text]
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(classes)s) n""",
    """INSERT INTO academic.grade_day (school_id, day, grade, kind, title)
    SELECT public.an_id(1, s, 0), %(today)s::date - d, (11 + g)::text, 'special', 'Exams'
    FROM generate_series(1, %(schools)s) s, generate_series(0, %(days)s) d, generate_series(0, 1) g""",
    """INSERT INTO academic.enrolment (school_id, id, class_id, role, student_id, starts_on)
    SELECT public.an_id(1, s, 0), public.an_id(9, s, c * 1000 + n), public.an_id(5, s, c), 'student',
           public.an_id(2, s, ((c - 1) * %(per_class)s + n - 1) %% %(students)s + 1), %(first)s
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(classes)s) c, generate_series(1, %(per_class)s) n""",
    """INSERT INTO academic.enrolment (school_id, id, class_id, role, teacher_id, starts_on)
    SELECT public.an_id(1, s, 0), public.an_id(9, s, c * 1000 + 999), public.an_id(5, s, c), 'teacher',
           public.an_id(3, s, (c - 1) %% %(teachers)s + 1), %(first)s
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(classes)s) c""",
    """INSERT INTO academic.lesson (school_id, id, class_id, day, period, starts_at, ends_at)
    SELECT public.an_id(1, s, 0), public.an_id(6, s, c * 100 + d), public.an_id(5, s, c), %(today)s::date - d,
           (c %% 8 + 1)::text, %(today)s::date - d + make_interval(hours => 8 + c %% 8),
           %(today)s::date - d + make_interval(hours => 8 + c %% 8, mins => 45)
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(classes)s) c, generate_series(0, %(days)s) d""",
    """INSERT INTO academic.lesson_teacher (school_id, lesson_id, teacher_id, starts_at, ends_at)
    SELECT school_id, id, public.an_id(3, s, (c - 1) %% %(teachers)s + 1), starts_at, ends_at
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(classes)s) c, generate_series(0, %(days)s) d
    JOIN academic.lesson ON true
    WHERE lesson.school_id = public.an_id(1, s, 0) AND lesson.id = public.an_id(6, s, c * 100 + d)""",
    """INSERT INTO academic.register (school_id, lesson_id, version, saved_at, saved_by)
    SELECT school_id, id, 1, ends_at, public.an_id(8, 0, 0) FROM academic.lesson WHERE day < %(today)s""",
    """INSERT INTO academic.register_notice (school_id, lesson_id, step, told_at)
    SELECT school_id, id, step, starts_at + make_interval(mins => 15)
    FROM academic.lesson, (VALUES ('teacher'), ('office')) AS steps (step)
    WHERE day < %(today)s""",
    """INSERT INTO academic.attendance_mark (
        school_id, lesson_id, student_id, register_version, day, code, kind, is_alerting, recorded_at, recorded_by)
    SELECT lesson.school_id, lesson.id, enrolment.student_id, 1, lesson.day, 'P', 'present', false, lesson.ends_at,
           public.an_id(8, 0, 0)
    FROM academic.lesson
    JOIN academic.enrolment USING (school_id, class_id)
    WHERE lesson.day < %(today)s AND enrolment.role = 'student'""",
    """INSERT INTO academic.absence_report (
        school_id, id, student_id, guardian_id, kind, starts_on, ends_on, reason, state, version, reported_at)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n), public.an_id(2, s, n), public.an_id(4, s, n), 'absence',
           %(today)s::date - n %% 200, %(today)s::date - n %% 200, 'Ill',
           CASE WHEN n %% 25 = 0 THEN 'pending' ELSE 'accepted' END, 1, %(today)s
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO academic.attendance_day (school_id, student_id, day, status, version)
    SELECT DISTINCT school_id, student_id, day, 'present', 1 FROM academic.attendance_mark""",
    """INSERT INTO academic.lesson_watch (school_id, due_at) SELECT school_id, %(today)s FROM academic.school""",
    """INSERT INTO academic.plan_watch (school_id, due_at) SELECT school_id, %(today)s FROM academic.school""",
)

COMMUNICATION: Final[tuple[LiteralString, ...]] = (
    """INSERT INTO communication.school (school_id, name, time_zone, version)
    SELECT school_id, name, time_zone, 1 FROM academic.school""",
    """INSERT INTO communication.student (school_id, student_id, given_name, family_name, grade, is_active, version)
    SELECT school_id, id, given_name, family_name, grade, true, 1 FROM academic.student""",
    """INSERT INTO communication.latest_attendance (school_id, student_id, day, status, version)
    SELECT public.an_id(1, s, 0), public.an_id(2, s, n), %(today)s,
           CASE WHEN n %% 20 = 0 THEN 'absent' ELSE 'present' END, 1
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO communication.membership (school_id, membership_id, user_id, role, is_active, version)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n), public.an_id(8, s, n),
           CASE WHEN n = 1 THEN 'school_admin' ELSE 'teacher' END, true, 1
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(teachers)s) n""",
    """INSERT INTO communication.teacher (school_id, teacher_id, given_name, family_name, is_active, version)
    SELECT school_id, id, given_name, family_name, true, 1 FROM academic.teacher""",
    """INSERT INTO communication.guardian (school_id, guardian_id, given_name, family_name, email, is_active, version)
    SELECT school_id, id, given_name, family_name, email, true, 1 FROM academic.guardian""",
    """INSERT INTO communication.guardian_link (
        school_id, guardian_link_id, guardian_id, student_id, relation, priority, is_active, may_see, version)
    SELECT school_id, id, guardian_id, student_id, relation, priority, true, true, 1 FROM academic.guardian_link""",
    """INSERT INTO communication.school_class (school_id, class_id, title, is_active, version)
    SELECT school_id, id, title, true, 1 FROM academic.school_class""",
    """INSERT INTO communication.class_member (school_id, class_id, person_id, role, starts_on)
    SELECT school_id, class_id, coalesce(student_id, teacher_id), role, starts_on FROM academic.enrolment""",
    """INSERT INTO communication.announcement (
        school_id, announcement_id, author_user_id, author_role, title, body, audience, is_urgent, state, created_at,
        send_at, sent_by, sent_at)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n), public.an_id(8, s, 1), 'school_admin', 'Title', 'Body',
           '{"include": [{"kind": "role", "role": "guardian"}], "exclude": []}', false, 'sent', %(today)s, %(today)s,
           public.an_id(8, s, 1), %(today)s::date - n
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(announcements)s) n""",
    """INSERT INTO communication.announcement_recipient (
        school_id, announcement_id, recipient_id, role, student_ids, part, sent_at, delivered_edition, delivered_at)
    SELECT school_id, announcement_id, guardian_id, 'guardian', ARRAY[student_id], 1, sent_at, 1, sent_at
    FROM communication.announcement
    JOIN communication.guardian_link USING (school_id)""",
    """INSERT INTO communication.file (
        school_id, file_id, uploader_id, name, media_type, size_bytes, state, object_key, created_at, settled_at)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n), public.an_id(8, s, n), 'letter.pdf', 'application/pdf', 1,
           'ready', 'school/' || s || '/' || n, %(today)s, %(today)s
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(files)s) n""",
    # Most of what waits, here and below, is not due for long; one of each school is.
    """INSERT INTO communication.file_due (school_id, file_id, due_at)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n), %(today)s::date + CASE WHEN n = 1 THEN 0 ELSE 30 END
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(files)s) n""",
    """INSERT INTO communication.announcement_due (school_id, announcement_id, due_at)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n), %(today)s::date + 30
    FROM generate_series(1, %(schools)s) s, generate_series(100, 199) n""",
)

NOTIFICATION: Final[tuple[LiteralString, ...]] = (
    """INSERT INTO notification.school (school_id, name, time_zone, grace_period_minutes, version)
    SELECT school_id, name, time_zone, 0, 1 FROM academic.school""",
    """INSERT INTO notification.student (school_id, student_id, given_name, version)
    SELECT school_id, id, given_name, 1 FROM academic.student""",
    """INSERT INTO notification.guardian (school_id, guardian_id, given_name, family_name, email, is_active, version)
    SELECT school_id, id, given_name, family_name, email, true, 1 FROM academic.guardian""",
    """INSERT INTO notification.guardian_link (
        school_id, guardian_link_id, guardian_id, student_id, relation, may_see, receives_alerts, priority, is_active,
        version)
    SELECT school_id, id, guardian_id, student_id, relation, true, true, priority, true, 1
    FROM academic.guardian_link""",
    """INSERT INTO notification.membership (school_id, membership_id, user_id, person_id, role, is_active, version)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n), public.an_id(8, s, n), public.an_id(4, s, n), 'guardian',
           true, 1
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO notification.notification (
        school_id, notification_id, recipient_person_id, student_id, category, idempotency_key, title, body, deep_link,
        created_at, read_at)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n * 100 + k), public.an_id(4, s, n), public.an_id(2, s, n),
           'absence_alert', 'absence:' || n || ':' || k, 'Title', 'Body', '/', %(today)s::date - k,
           CASE WHEN k > 1 THEN %(today)s::date - k END
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n,
         generate_series(1, %(notifications)s) k""",
    """INSERT INTO notification.delivery (
        school_id, delivery_id, notification_id, category, recipient_person_id, recipient_name, student_id, day,
        channel, address, state, attempts, subject, body, created_at, updated_at)
    SELECT school_id, notification_id, notification_id, category, recipient_person_id, 'Name', student_id,
           created_at::date, 'email', 'somebody@home.test',
           (ARRAY['failed', 'unreachable', 'cancelled', 'sent', 'sent', 'sent', 'sent', 'sent', 'sent', 'sent'])
               [1 + abs(hashtext(notification_id::text)) %% 10],
           1, 'Subject', 'Body', created_at, created_at
    FROM notification.notification""",
    """INSERT INTO notification.absence_alert (
        school_id, student_id, day, state, episode, version, lessons, changed_by)
    SELECT school_id, student_id, created_at::date, 'sent', 1, 1, '{}', public.an_id(8, 0, 0)
    FROM notification.notification""",
    """INSERT INTO notification.absence_alert (
        school_id, student_id, day, state, due_at, episode, version, lessons, changed_by)
    SELECT public.an_id(1, s, 0), public.an_id(2, s, n), %(today)s, 'pending',
           %(today)s::date + CASE WHEN n = 1 THEN 0 ELSE 30 END, 1, 1, '{}', public.an_id(8, 0, 0)
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO notification.alert_due (school_id, student_id, day, due_at)
    SELECT school_id, student_id, day, due_at FROM notification.absence_alert WHERE state = 'pending'""",
    """INSERT INTO notification.delivery_due (school_id, delivery_id, due_at)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n * 100 + 1),
           %(today)s::date + CASE WHEN n = 1 THEN 0 ELSE 30 END
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO notification.digest (school_id, recipient_id, day, delivery_id)
    SELECT public.an_id(1, s, 0), public.an_id(4, s, n), %(today)s::date - 1, public.an_id(10, s, n * 100 + 1)
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO notification.digest_item (school_id, recipient_id, day, notification_id)
    SELECT school_id, recipient_id, day, delivery_id FROM notification.digest""",
)

AUTH: Final[tuple[LiteralString, ...]] = (
    """INSERT INTO auth.school (school_id, name, version) SELECT school_id, name, 1 FROM academic.school""",
    """INSERT INTO auth.account (user_id, email, email_normalised, name, password_hash, created_at)
    SELECT public.an_id(8, s, n), 'guardian' || n || '@s' || s || '.test', 'guardian' || n || '@s' || s || '.test',
           'Name', 'not a hash', %(today)s
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO auth.person (school_id, person_id, role, name, email, email_normalised, is_active, version)
    SELECT school_id, id, 'guardian', 'Name', email, email, true, 1 FROM academic.guardian""",
    """INSERT INTO auth.membership (school_id, membership_id, user_id, role, person_id)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n), public.an_id(8, s, n), 'guardian', public.an_id(4, s, n)
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO auth.invite (
        school_id, invite_id, role, person_id, name, email, email_normalised, code_hash, created_at, expires_at,
        accepted_at)
    SELECT school_id, membership_id, role, person_id, 'Name', 'a@home.test', 'a@home.test', membership_id::text,
           %(today)s, %(today)s::date + 14, %(today)s
    FROM auth.membership""",
    """INSERT INTO auth.session (session_id, user_id, membership_id, sealed_token, created_at, used_at)
    SELECT public.an_id(10, s, n), public.an_id(8, s, n), public.an_id(10, s, n), 'sealed', %(today)s, %(today)s
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(students)s) n""",
    """INSERT INTO auth.refresh_token (token_hash, session_id, generation)
    SELECT 'hash of ' || session_id, session_id, 1 FROM auth.session""",
)

OUTBOX: Final[LiteralString] = """
    INSERT INTO {}.outbox (id, type, payload, created_at, published_at)
    SELECT gen_random_uuid(), 'school.school_changed.v1', '', %(today)s::date - n %% 9,
           CASE WHEN n > 50 THEN %(today)s::date - n %% 9 END
    FROM generate_series(1, %(events)s) n
"""

INBOX: Final[LiteralString] = """
    INSERT INTO {}.inbox (event_id, type, received_at)
    SELECT gen_random_uuid(), 'school.school_changed.v1', %(today)s::date - n %% 40
    FROM generate_series(1, %(events)s) n
"""

FILLS: Final = (*ACADEMIC, *COMMUNICATION, *NOTIFICATION, *AUTH, *TODAY)


def fill(admin_url: str, *, today: date) -> None:
    """As superuser and without checks of foreign keys: minutes become seconds. Ends with fresh statistics."""
    sizes = {
        "schools": SCHOOLS,
        "students": STUDENTS,
        "teachers": TEACHERS,
        "classes": CLASSES,
        "per_class": PER_CLASS,
        "days": DAYS,
        "notifications": NOTIFICATIONS,
        "announcements": ANNOUNCEMENTS,
        "files": FILES,
        "events": EVENTS,
        "today": today,
        "first": date(today.year - 1, 1, 1),
    }
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET TIME ZONE 'UTC'")
        connection.execute(MAKE_ID)
        for statement in FILLS:
            connection.execute(statement, sizes)
        for service in SERVICE_NAMES:
            for events in (OUTBOX, INBOX):
                connection.execute(sql.SQL(events).format(sql.Identifier(service)), sizes)
        connection.execute("VACUUM (ANALYZE)")
