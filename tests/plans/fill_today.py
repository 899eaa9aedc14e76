"""What `school` has heard of the day of each of the 200 schools, made from what the others have (see `fill`)."""

from typing import Final, LiteralString

# Of days, today and yesterday are enough: no other is ever asked for.
TODAY: Final[tuple[LiteralString, ...]] = (
    """INSERT INTO school.district (district_id, sourced_id, name)
    SELECT public.an_id(10, s, 0), 'd' || s, 'District' FROM generate_series(1, %(schools)s) s""",
    """INSERT INTO school.school (school_id, district_id, sourced_id, name, time_zone)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, 0), 's' || s, 'School ' || s, 'UTC'
    FROM generate_series(1, %(schools)s) s""",
    """INSERT INTO school.room (school_id, room_id, name)
    SELECT public.an_id(1, s, 0), public.an_id(10, s, n), 'Room ' || n
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(classes)s) n""",
    """INSERT INTO school.calendar_day (school_id, day, kind, title)
    SELECT public.an_id(1, s, 0), %(today)s::date + 7 * n, 'holiday', 'Holiday'
    FROM generate_series(1, %(schools)s) s, generate_series(1, %(classes)s) n""",
    """INSERT INTO school.grade_day (school_id, day, number, kind, title)
    SELECT public.an_id(1, s, 0), %(today)s::date + n, g, 'special', 'Exams'
    FROM generate_series(1, %(schools)s) s, generate_series(0, %(classes)s) n, generate_series(0, 1) g""",
    """INSERT INTO school.grade_day_grade (school_id, day, number, grade)
    SELECT school_id, day, number, (11 + number)::text FROM school.grade_day""",
    """INSERT INTO school.grade_day_period (school_id, day, number, period, starts_at, ends_at)
    SELECT school_id, day, number, '1', '09:00', '12:00' FROM school.grade_day""",
    """INSERT INTO school.today_student (
        school_id, student_id, given_name, family_name, is_active, version, touched_at)
    SELECT school_id, id, given_name, family_name, true, 1, %(today)s FROM academic.student""",
    """INSERT INTO school.today_teacher (school_id, teacher_id, is_active, version, touched_at)
    SELECT school_id, id, true, 1, %(today)s FROM academic.teacher""",
    """INSERT INTO school.today_class (school_id, class_id, title, is_active, version, touched_at)
    SELECT school_id, id, title, true, 1, %(today)s FROM academic.school_class""",
    """INSERT INTO school.today_class_member (school_id, class_id, person_id, role, starts_on)
    SELECT school_id, class_id, coalesce(student_id, teacher_id), role, starts_on FROM academic.enrolment""",
    """INSERT INTO school.today_guardian_link (
        school_id, guardian_link_id, guardian_id, student_id, may_see, is_active, version, touched_at)
    SELECT school_id, id, guardian_id, student_id, true, true, 1, %(today)s FROM academic.guardian_link""",
    """INSERT INTO school.today_attendance_day (school_id, day, student_id, status, version, touched_at)
    SELECT school_id, day + 1, student_id, CASE WHEN random() < 0.05 THEN 'absent' ELSE 'present' END, 1, %(today)s
    FROM academic.attendance_day
    WHERE day >= %(today)s::date - 2""",
    """INSERT INTO school.today_absence_report (
        school_id, absence_report_id, student_id, kind, starts_on, ends_on, state, version, touched_at)
    SELECT school_id, id, student_id, kind, starts_on, ends_on, state, 1, %(today)s FROM academic.absence_report""",
    """INSERT INTO school.today_plan (school_id, day, version, touched_at)
    SELECT DISTINCT school_id, day, 1, %(today)s::date FROM academic.lesson WHERE day >= %(today)s::date - 1""",
    """INSERT INTO school.today_lesson (
        school_id, day, lesson_id, class_id, class_title, starts_at, ends_at, teacher_ids, is_cancelled)
    SELECT lesson.school_id, lesson.day, lesson.id, lesson.class_id, 'Class', lesson.starts_at, lesson.ends_at,
           array_agg(taught.teacher_id), false
    FROM academic.lesson
    JOIN academic.lesson_teacher AS taught ON taught.school_id = lesson.school_id AND taught.lesson_id = lesson.id
    WHERE lesson.day >= %(today)s::date - 1
    GROUP BY lesson.school_id, lesson.id""",
    """INSERT INTO school.today_register (
        school_id, day, lesson_id, saved_at, present, absent, late, excused, version, touched_at)
    SELECT school_id, day, lesson_id, ends_at, 24, 1, 0, 0, 1, %(today)s
    FROM school.today_lesson
    WHERE day < %(today)s OR lesson_id::text ~ '[05]$'""",
    """INSERT INTO school.today_delivery (
        school_id, day, delivery_id, student_id, recipient_id, state, version, touched_at)
    SELECT school_id, day + 1, delivery_id, student_id, recipient_person_id, state, 1, %(today)s
    FROM notification.delivery
    WHERE day >= %(today)s::date - 2""",
    """INSERT INTO school.today_announcement (
        school_id, announcement_id, edition, is_withdrawn, version, touched_at)
    SELECT school_id, announcement_id, 1, false, 1, %(today)s FROM communication.announcement""",
    """INSERT INTO school.today_message (school_id, announcement_id, recipient_id, role, version, touched_at)
    SELECT school_id, announcement_id, teacher.id, 'teacher', 0, %(today)s
    FROM communication.announcement
    JOIN academic.teacher USING (school_id)""",
)
