"""How good each student is, and what was served: functions of the arrays that they are given."""
