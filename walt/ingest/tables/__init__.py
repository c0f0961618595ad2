"""Tables that name inputs, in any of the formats that people keep: read by column, row by row, whatever their size."""
