-- When somebody hears of a register that nobody has saved; 0 is never.

ALTER TABLE school
    ADD COLUMN register_reminder_minutes smallint NOT NULL DEFAULT 15
        CHECK (register_reminder_minutes BETWEEN 0 AND 480),
    ADD COLUMN register_escalation_minutes smallint NOT NULL DEFAULT 60
        CHECK (register_escalation_minutes BETWEEN 0 AND 480);
