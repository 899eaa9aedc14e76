-- No statement of the service uses these: the parts of a day go with it, and read models are replaced.
REVOKE DELETE ON grade_day_grade, grade_day_period FROM school_app;
REVOKE UPDATE ON today_class_member, today_lesson FROM school_app;
