-- A lesson whose room was changed by hand keeps that room when it is planned anew; otherwise it has its class's.
-- `origin` says from now on who made a lesson, not who changed it: `manual` is what was added besides the timetable.
-- What was changed before is `manual` too, and stays as it is.

ALTER TABLE lesson ADD COLUMN has_own_room boolean NOT NULL DEFAULT false;
