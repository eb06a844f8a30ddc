"""Classification records: their type and schema, how they are made, written, read and checked."""
