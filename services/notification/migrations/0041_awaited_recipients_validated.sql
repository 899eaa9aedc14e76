-- What 0040 let in is checked of the rows before it too, without keeping writers out.

ALTER TABLE delivery VALIDATE CONSTRAINT delivery_address_check;
