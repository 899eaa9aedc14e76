-- What 0022 let in is checked of the rows before it too, without keeping writers out.

ALTER TABLE announcement VALIDATE CONSTRAINT announcement_hold_reason_check;
