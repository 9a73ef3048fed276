"""The tables of the page: cells with what they are sorted and coloured by."""
