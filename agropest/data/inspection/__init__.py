"""What a data set holds, for a person: statistics, plots, contact sheet, similar pictures."""
