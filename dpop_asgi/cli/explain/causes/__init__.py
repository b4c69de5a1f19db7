"""The likely causes of a failed check, each with what to change: tables of small functions, the likeliest first."""
