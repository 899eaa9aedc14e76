-- What 0020 let in is checked of the rows before it too, without keeping writers out.

ALTER TABLE notification VALIDATE CONSTRAINT notification_category_check;
ALTER TABLE delivery VALIDATE CONSTRAINT delivery_category_check;
