"""The columns of the tables, each declared once: what it is called, what it shows of a row, how, and where."""
