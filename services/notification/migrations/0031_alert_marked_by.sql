-- A report about one lesson changes a day whose other absence somebody else marked: who changed the day is not who is
-- left out of its alert. The column keeps its name, which the release before reads.

-- The release before compares it only, which a null in it survives.
-- squawk-ignore ban-drop-not-null
ALTER TABLE absence_alert ALTER COLUMN changed_by DROP NOT NULL;
COMMENT ON COLUMN absence_alert.changed_by IS
'The login that made all the marks the alert is about, which is not told of them; null when there are several.';
