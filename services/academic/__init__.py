"""The academic service: people, classes, timetable, attendance."""
