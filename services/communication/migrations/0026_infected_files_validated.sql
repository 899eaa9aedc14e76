-- What 0025 let in is checked of the rows before it too, without keeping writers out.

ALTER TABLE file VALIDATE CONSTRAINT file_rejected_because_check;
