-- No statement of the service uses these: calendars are replaced, and a lesson's teachers go with it.
REVOKE UPDATE ON academic_session, bell_period, calendar_day FROM academic_app;
REVOKE DELETE ON lesson_teacher FROM academic_app;
